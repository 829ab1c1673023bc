/** Which recipient a new one takes the place of. */
import { ColdkeepError } from "../errors.ts";

/**
 * Of the configured recipients the one named, or the only one whose identity is `held`. Throws E_REFUSED when none is, and
 * E_USAGE when it is not clear which.
 */
export function replacedRecipient(configured: readonly string[], held: readonly string[], named: string | undefined): string {
  if (named !== undefined) {
    if (configured.includes(named)) return named;
    throw new ColdkeepError("E_USAGE", `${shown(named)} is no recipient of the configuration`, { hint: `Its recipients are: ${configured.join(", ")}.` });
  }
  const candidates = configured.filter((recipient) => held.includes(recipient));
  const [only] = candidates;
  if (only === undefined) throw new ColdkeepError("E_REFUSED", "the identity of none of the configuration's recipients is in the kit", { hint: "Use the kit of one of them; `coldkeep key show --kit FILE` tells." });
  if (candidates.length > 1) throw new ColdkeepError("E_USAGE", "more than one recipient of the configuration could be replaced", { hint: `Say which with --replaces: ${candidates.join(", ")}.` });
  return only;
}

function shown(recipient: string): string {
  return recipient.length > 24 ? `${recipient.slice(0, 24)}…` : recipient;
}
