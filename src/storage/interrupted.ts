/** How the stores speak of a caller's abort signal. */
import { ColdkeepError } from "../errors.ts";

/** The error for work ended by its caller's signal; `doing` reads like `put of KEY in LOCATION`. */
export function interruptedError(doing: string, cause?: unknown): ColdkeepError {
  return new ColdkeepError("E_INTERRUPTED", `${doing} was interrupted`, { cause });
}

/** Throws E_INTERRUPTED when the signal has already been given. */
export function checkInterrupted(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted) throw interruptedError(doing, signal.reason);
}
