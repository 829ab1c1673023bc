/** Who signs how a drill went: a drill's own signer, which may say nothing else, or the operator by the kit. */
import { formatPublicKey, parseSecretKey, type Signer } from "../../codec/signer.ts";
import { ColdkeepError } from "../../errors.ts";
import type { Kit } from "../../format/kit.ts";

/** `keyLine`: `ed25519-secret:…`. Null where nobody at hand may sign. Throws E_CONFIG for a malformed key, E_SIGNER for one that nobody would believe. */
export function drillSigner({ operatorKey, signers }: Kit, keyLine: string | undefined): Signer | null {
  const text = keyLine ?? operatorKey;
  if (text === undefined) return null;
  const signer = parseSecretKey(text);
  const key = formatPublicKey(signer.publicKey);
  if (signers.some((each) => each.key === key && each.role !== "host")) return signer;
  throw new ColdkeepError("E_SIGNER", `the kit does not trust the signer ${key}, so nobody would believe its record`, { hint: `Pin it in every kit: coldkeep kit add-signer drill ${key} --kit FILE; and in the hosts' configurations under \`signers\`.` });
}
