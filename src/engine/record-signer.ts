/** Who signs records: the operator, by the kit; or a host that may prune itself, by its configuration. */
import { parseSecretKey, type Signer } from "../codec/signer.ts";
import { ColdkeepError } from "../errors.ts";
import { readHostSetup } from "./host-setup.ts";
import type { Authority } from "./open-vault.ts";

/** Throws E_KIT, E_CONFIG where nobody at hand may sign. */
export function recordSigner(authority: Authority): Signer {
  if (authority.kind === "kit") {
    if (authority.kit.operatorKey !== undefined) return parseSecretKey(authority.kit.operatorKey);
    throw new ColdkeepError("E_KIT", "the kit holds no operator's key, which alone may sign records", { hint: "Use the kit with an `# operator-key:` line." });
  }
  if (authority.kind === "config" && authority.loaded.config.retention?.signedBy === "host") return readHostSetup(authority.loaded).signer;
  throw new ColdkeepError("E_CONFIG", "this host may not sign records about its archives: the operator does, with the kit", {
    hint: "Give --kit FILE where the kit is kept, or let this host do it with `retention: {signedBy: host}`.",
  });
}
