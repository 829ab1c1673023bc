/**
 * The host's own keys, in `keys/` beside the configuration: what opens its catalogs, what signs its archives, and which
 * instance of the host this is. They are not state: they must survive the loss of it.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ColdkeepError } from "../errors.ts";
import { checkPrivateFolder, createPrivateFile, makePrivateFolder, readPrivateFile } from "./private-file.ts";

export type HostKeys = {
  /** age identity of the catalog key. */
  catalogIdentity: string;
  /** Ed25519 private key, PKCS #8 PEM. */
  signerPem: string;
  /** 32 hex digits: this instance of the host; a copy of the keys on another machine has another. */
  writer: string;
};

export type NewHostKeys = {
  catalogIdentity: string;
  signerPem: string;
  /** 32 random hex digits. */
  random: string;
};

const FILES = { catalogIdentity: "catalog.key", signerPem: "signer.key", random: "writer" } as const;
/** Name of the note that this host has committed an archive; of this machine only, so it is not archived. */
export const CHAIN_NOTE = "chain";
const MACHINE_ID = "/etc/machine-id";
const FORMS = {
  catalogIdentity: /^AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]+$/,
  signerPem: /^-----BEGIN PRIVATE KEY-----[\s\S]+-----END PRIVATE KEY-----$/,
  random: /^[0-9a-f]{32}$/,
} as const;

/** The folder of the keys of a configuration in `configDir`. */
export function hostKeysDir(configDir: string): string {
  return join(configDir, "keys");
}

/**
 * Reads the keys in `keysDir`. Throws E_REFUSED when the folder or a file is a link, belongs to another user or is open to
 * others, and E_CONFIG when a key is missing or damaged. `machineIdPath` names the machine's own id.
 */
export function readHostKeys(keysDir: string, machineIdPath: string = MACHINE_ID): HostKeys {
  if (!checkPrivateFolder(keysDir)) throw missing(keysDir);
  const catalogIdentity = readKey(keysDir, "catalogIdentity");
  const signerPem = `${readKey(keysDir, "signerPem")}\n`;
  const instance = readKey(keysDir, "random");
  const writer = createHash("sha256").update(instance + readMachineId(machineIdPath)).digest("hex").slice(0, 32);
  return { catalogIdentity, signerPem, writer };
}

/** Whether all keys are there; without looking into them. Throws E_REFUSED as `readHostKeys` does. */
export function hasHostKeys(keysDir: string): boolean {
  return checkPrivateFolder(keysDir) && Object.values(FILES).every((name) => readPrivateFile(join(keysDir, name)) !== null);
}

/**
 * Writes the keys that are not there yet and returns the ones that now are: what exists is never overwritten, and an
 * interrupted call is completed by the next. Throws E_REFUSED, E_CONFIG, E_DISK.
 */
export function createHostKeys(keysDir: string, keys: NewHostKeys, machineIdPath: string = MACHINE_ID): HostKeys {
  makePrivateFolder(keysDir);
  for (const name of ["catalogIdentity", "signerPem", "random"] as const) {
    const path = join(keysDir, FILES[name]);
    if (readPrivateFile(path) !== null) continue;
    if (!FORMS[name].test(keys[name].trim())) throw new ColdkeepError("E_INTERNAL", `the key meant for ${path} has not the form of one`);
    createPrivateFile(path, `${keys[name].trim()}\n`);
  }
  return readHostKeys(keysDir, machineIdPath);
}

/** Notes beside the keys that this host has committed an archive: what tells a first run from a vault that was emptied. */
export function noteChainBegun(keysDir: string, archiveId: string): void {
  if (!existsSync(join(keysDir, CHAIN_NOTE))) createPrivateFile(join(keysDir, CHAIN_NOTE), `${archiveId}\n`);
}

/** Whether this host has ever committed an archive. */
export function hasChainBegun(keysDir: string): boolean {
  return existsSync(join(keysDir, CHAIN_NOTE));
}

function readKey(keysDir: string, name: keyof typeof FILES): string {
  const path = join(keysDir, FILES[name]);
  const text = readPrivateFile(path)?.trim();
  if (text === undefined) throw missing(path);
  if (!FORMS[name].test(text)) {
    throw new ColdkeepError("E_CONFIG", `${path} is damaged`, { hint: "Put back the file as `coldkeep init` wrote it; every archive of this host holds it." });
  }
  return text;
}

function missing(path: string): ColdkeepError {
  return new ColdkeepError("E_CONFIG", `there is no ${path}`, { hint: "Run `coldkeep init`, or put back the keys folder that belongs to this configuration." });
}

/** Tells a clone from its original, as far as the clone was given an id of its own. */
function readMachineId(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
