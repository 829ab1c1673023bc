/** What is bound to this very machine, its TPM or something plugged into it: files alone do not bring it back. */
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";

type Reenter = Profile["reenter"][number];

const BOUND = "bound to this machine's TPM or its own key: encrypt it again on the new machine (systemd-creds encrypt)";

/** USB vendors of licence keys. */
const DONGLES = new Map([
  ["0529", "HASP"],
  ["064f", "WIBU CodeMeter"],
  ["04b9", "Sentinel"],
  ["1bc0", "Senselock"],
  ["096e", "Feitian Rockey"],
]);

function credentials(look: Look): Reenter[] {
  const folders = ["/etc/credstore.encrypted", "/var/lib/credstore.encrypted"];
  return folders.flatMap((folder) => look.names(folder).map((name) => ({ path: `${folder}/${name}`, why: BOUND })));
}

/** Credentials that stand in a unit itself (systemd.exec(5)). */
function credentialsInUnits(look: Look): Reenter[] {
  const folder = "/etc/systemd/system";
  const files = look.names(folder).flatMap((name) => (name.endsWith(".d") ? look.names(`${folder}/${name}`).map((file) => `${name}/${file}`) : [name]));
  return files.filter((file) => /\.(?:service|conf)$/.test(file)).flatMap((file) => {
    const path = `${folder}/${file}`;
    return look.stat(path)?.isFile() === true && /^\s*SetCredentialEncrypted\s*=/m.test(look.text(path) ?? "") ? [{ path, why: `holds a credential ${BOUND}` }] : [];
  });
}

/** Options of /etc/crypttab (crypttab(5)) that unlock a disk by something that does not move along with its files. */
function encryptedDisks(look: Look): Reenter[] {
  return (look.text("/etc/crypttab") ?? "").split("\n").flatMap((line) => {
    const [name = "", , key = "", options = ""] = line.trim().split(/\s+/);
    if (name === "" || name.startsWith("#")) return [];
    const token = /\b(tpm2-device|fido2-device|pkcs11-uri)=/.exec(options)?.[1];
    if (token !== undefined) return [{ path: "/etc/crypttab", why: `the disk ${name} is unlocked by ${token}: enrol the new machine's (systemd-cryptenroll), or use its passphrase` }];
    if (key.startsWith("/dev/") && !key.endsWith("random")) return [{ path: "/etc/crypttab", why: `the disk ${name} is unlocked by a key on ${key}` }];
    return [];
  });
}

function dongles(look: Look): Reenter[] {
  const folder = "/sys/bus/usb/devices";
  return (look.isLive ? look.names(folder) : []).flatMap((name) => {
    const vendor = DONGLES.get(look.text(`${folder}/${name}/idVendor`)?.trim() ?? "");
    return vendor === undefined ? [] : [{ path: "usb", why: `a licence key of ${vendor} is plugged in: take it along` }];
  });
}

function others(look: Look): Reenter[] {
  const known = [
    { path: "/etc/clevis", why: "binds secrets to a TPM or a Tang server: bind them anew" },
    { path: "/var/lib/systemd/tpm2-srk-public-key.pem", why: "names this machine's TPM: it is made anew on the new one" },
    { path: "/var/lib/tpm2-pkcs11", why: "keys that this machine's TPM keeps: they cannot leave it" },
    { path: "/var/lib/systemd/pcrlock.d", why: "measurements of this machine's boot: they are made anew" },
  ];
  return known.filter(({ path }) => look.stat(path) !== null);
}

/** In the order in which somebody would think of it. */
export function readReenter(look: Look): Reenter[] {
  return [...encryptedDisks(look), ...credentials(look), ...credentialsInUnits(look), ...others(look), ...dongles(look)];
}
