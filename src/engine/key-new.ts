/** A new identity, in a file of its own or in a kit of the vault, for whoever is to open the archives too. */
import { newIdentity, recipientFingerprint, recipientKind, type RecipientKind } from "../codec/age-keys.ts";
import { sealText } from "../codec/passphrase.ts";
import { ColdkeepError } from "../errors.ts";
import { formatKit, type Kit } from "../format/kit.ts";
import { sealKit } from "./kit-open.ts";
import { writePage } from "./new-page.ts";

export type NewKeyOrder = {
  /** Absolute path of the file, which must not be there. */
  path: string;
  /** The vault, regions and signers of a new kit; null for a bare identity file. */
  kit: Kit | null;
  /** The recipients the new one stands beside; they give it its kind. */
  beside: readonly string[];
  pq: boolean;
  /** Null: not protected. */
  passphrase: string | null;
  now: Date;
};

export type NewKey = { recipient: string; fingerprint: string };

/** Kinds are never mixed: the weaker one would undo the other. Throws E_USAGE. */
function kindFor({ beside, pq }: NewKeyOrder): RecipientKind {
  const [first] = beside;
  if (first === undefined) return pq ? "hybrid" : "x25519";
  const kind = recipientKind(first);
  if (pq && kind !== "hybrid") throw new ColdkeepError("E_USAGE", "the vault's recipients are age1…, and one of age1pq1… is never mixed with them", { hint: "Leave --pq out." });
  return kind;
}

/** Makes the identity and writes it down. Throws E_USAGE, E_REFUSED when the file is there, E_DISK. */
export async function makeKey(order: NewKeyOrder): Promise<NewKey> {
  const { path, kit, passphrase, now } = order;
  const { identity, recipient } = await newIdentity({ pq: kindFor(order) === "hybrid" });
  const createdAt = now.toISOString();
  if (kit === null) {
    const text = `# created: ${createdAt}\n# public key: ${recipient}\n${identity}\n`;
    writePage(path, passphrase === null ? text : await sealText(text, passphrase));
  } else {
    const whole: Kit = { ...kit, credentials: [], identities: [identity] };
    delete whole.sealed;
    delete whole.operatorKey;
    writePage(path, formatKit(passphrase === null ? whole : await sealKit(whole, passphrase), { createdAt }));
  }
  return { recipient, fingerprint: recipientFingerprint(recipient) };
}
