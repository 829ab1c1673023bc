/** Who signs records: the operator, by the kit; or a host that may prune itself, by its configuration. */
import { parseSecretKey, type Signer } from "../codec/signer.ts";
import { ColdkeepError } from "../errors.ts";
import { readHostSetup } from "./host-setup.ts";
import type { Authority } from "./open-vault.ts";

/** Undefined where nobody at hand may sign. */
export function signerAtHand(authority: Authority): Signer | undefined {
  if (authority.kind === "kit") return authority.kit.operatorKey === undefined ? undefined : parseSecretKey(authority.kit.operatorKey);
  if (authority.kind === "config" && authority.loaded.config.retention?.signedBy === "host") return readHostSetup(authority.loaded).signer;
  return undefined;
}

/** Throws E_KIT, E_CONFIG where nobody at hand may sign. */
export function recordSigner(authority: Authority): Signer {
  const signer = signerAtHand(authority);
  if (signer !== undefined) return signer;
  if (authority.kind === "kit") {
    throw new ColdkeepError("E_KIT", "the kit holds no operator's key, which alone may sign records", { hint: "Use the kit with an `# operator-key:` line." });
  }
  throw new ColdkeepError("E_CONFIG", "this host may not sign records about its archives: the operator does, with the kit", {
    hint: "Give --kit FILE where the kit is kept, or let this host do it with `retention: {signedBy: host}`.",
  });
}
