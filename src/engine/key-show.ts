/** Which keys there are around a vault, and where their secret halves lie: never a secret itself. */
import { recipientFingerprint, recipientKind, recipientOf, type RecipientKind } from "../codec/age-keys.ts";
import { formatPublicKey, parseSecretKey } from "../codec/signer.ts";
import type { LoadedConfig } from "../config/load.ts";
import { type Kit, type PinnedSigner, signerLine } from "../format/kit.ts";
import { readHostSetup } from "./host-setup.ts";
import { kitRecipients } from "./kit-open.ts";
import { fingerprintOf } from "./trust.ts";

export type ShownRecipient = {
  recipient: string;
  fingerprint: string;
  kind: RecipientKind;
  /** What it opens: archives of this configuration from now on, this host's catalogs, or what was encrypted to it earlier. */
  use: "archives" | "catalogs" | "earlier";
  /** Where its identity is known to lie. */
  heldBy: "kit" | "this host" | null;
};

export type ShownSigner = {
  role: PinnedSigner["role"];
  host: string | null;
  key: string;
  fingerprint: string;
  /** Where it is pinned. */
  from: ("this host" | "configuration" | "kit")[];
  /** Where its secret half is known to lie; a sealed kit may hold one more. */
  heldBy: "kit" | "this host" | null;
};

export type ShownKeys = { recipients: ShownRecipient[]; signers: ShownSigner[] };

/** The keys that a configuration and a kit name; either may be missing. Throws E_CONFIG, E_KIT, E_REFUSED. */
export async function showKeys(loaded: LoadedConfig | null, kit: Kit | null): Promise<ShownKeys> {
  return { recipients: await shownRecipients(loaded, kit), signers: shownSigners(loaded, kit) };
}

async function shownRecipients(loaded: LoadedConfig | null, kit: Kit | null): Promise<ShownRecipient[]> {
  const held = kit === null ? [] : await kitRecipients(kit);
  const configured = loaded?.config.recipients ?? [];
  const catalog = loaded === null ? [] : [await recipientOf(readHostSetup(loaded).keys.catalogIdentity)];
  const shown = (recipient: string, use: ShownRecipient["use"], heldBy: ShownRecipient["heldBy"]): ShownRecipient => ({ recipient, fingerprint: recipientFingerprint(recipient), kind: recipientKind(recipient), use, heldBy });
  const earlier = held.filter((recipient) => !configured.includes(recipient));
  return [
    ...configured.map((recipient) => shown(recipient, "archives", held.includes(recipient) ? "kit" : null)),
    ...earlier.map((recipient) => shown(recipient, loaded === null ? "archives" : "earlier", "kit")),
    ...catalog.map((recipient) => shown(recipient, "catalogs", "this host")),
  ];
}

/** Every signer that the configuration, this host's own keys and the kit pin, once each. Throws E_CONFIG, E_REFUSED. */
export function shownSigners(loaded: LoadedConfig | null, kit: Kit | null): ShownSigner[] {
  const setup = loaded === null ? null : readHostSetup(loaded);
  const own = setup === null ? null : formatPublicKey(setup.signer.publicKey);
  const operator = kit?.operatorKey === undefined ? null : formatPublicKey(parseSecretKey(kit.operatorKey).publicKey);
  const found = new Map<string, ShownSigner>();
  const note = (signer: PinnedSigner, from: ShownSigner["from"][number]): void => {
    const line = signerLine(signer);
    const known = found.get(line);
    if (known !== undefined) return void (known.from.includes(from) || known.from.push(from));
    const heldBy = signer.key === own ? "this host" : signer.key === operator ? "kit" : null;
    found.set(line, { role: signer.role, host: signer.role === "host" ? signer.host : null, key: signer.key, fingerprint: fingerprintOf(signer.key), from: [from], heldBy });
  };
  if (loaded !== null && own !== null) note({ role: "host", host: loaded.config.host, key: own }, "this host");
  for (const signer of loaded?.config.signers ?? []) note(signer, "configuration");
  for (const signer of kit?.signers ?? []) note(signer, "kit");
  return [...found.values()];
}
