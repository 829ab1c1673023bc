/** Opening the sealed part of a kit, and sealing it. */
import { recipientOf } from "../codec/age-keys.ts";
import { openText, sealText } from "../codec/passphrase.ts";
import { ColdkeepError } from "../errors.ts";
import { formatKitSecrets, type Kit, parseKitSecrets } from "../format/kit.ts";

/**
 * The kit with its sealed secrets at hand: for use, never to be written.
 * Throws E_KIT for a wrong passphrase and a damaged part.
 */
export async function openKit(kit: Kit, passphrase: string): Promise<Kit> {
  const { sealed, ...open } = kit;
  if (sealed === undefined) return open;
  const secrets = parseKitSecrets(await openText(sealed.armored, passphrase));
  const identities = [...new Set([...open.identities, ...secrets.identities])];
  const operatorKey = open.operatorKey ?? secrets.operatorKey;
  const found = await recipientsOf(secrets.identities);
  const stranger = sealed.recipients.find((recipient) => !found.includes(recipient));
  if (stranger !== undefined) throw new ColdkeepError("E_KIT", `the kit says it holds the identity of ${stranger.slice(0, 16)}…, and its sealed part does not`, { hint: "Take another copy of the kit." });
  return { ...open, identities, ...(operatorKey !== undefined && { operatorKey }) };
}

/** The kit with its identities and the operator's key sealed. Throws E_KIT where it holds none. */
export async function sealKit(kit: Kit, passphrase: string): Promise<Kit> {
  const { identities, operatorKey, ...rest } = kit;
  if (identities.length === 0) throw new ColdkeepError("E_KIT", "there is no identity to protect", { hint: "Use the kit with an AGE-SECRET-KEY line." });
  const armored = await sealText(formatKitSecrets({ identities, ...(operatorKey !== undefined && { operatorKey }) }), passphrase);
  return { ...rest, identities: [], sealed: { armored, recipients: await recipientsOf(identities) } };
}

function recipientsOf(identities: readonly string[]): Promise<string[]> {
  return Promise.all(identities.map(recipientOf));
}

/** Whose archives the kit opens, also while it is sealed. Throws E_KIT for a malformed identity. */
export async function kitRecipients({ identities, sealed }: Kit): Promise<string[]> {
  return [...new Set([...(await recipientsOf(identities)), ...(sealed?.recipients ?? [])])];
}
