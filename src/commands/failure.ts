/** What a thrown value is to whoever is told of it, and to the exit status. */
import { ColdkeepError, EXIT, type ExitStatus, messageOf, systemCode } from "../errors.ts";
import { type ErrorReport, OutputClosed } from "./terminal-port.ts";

const DEFECT_HINT = "This is a defect of coldkeep: run it again with --debug and report what it prints.";

/** `report` is null where there is nobody left to tell. */
export type Failure = { exitStatus: ExitStatus; report: ErrorReport | null };

/** Whatever failed after `signal` was given most likely failed because of it. */
export function failureOf(error: unknown, signal: AbortSignal): Failure {
  const shown: unknown = signal.aborted && !isInterruption(error) ? signal.reason : error;
  // Data that did not arrive is no success, but whoever stopped reading need not be told.
  if (shown instanceof OutputClosed) return { exitStatus: EXIT.failed, report: null };
  const stack = error instanceof Error ? stackOf(error) : undefined;
  if (!(shown instanceof ColdkeepError)) return { exitStatus: EXIT.failed, report: { ...describeForeign(shown), stack } };
  const { code, message, hint, exitStatus } = shown;
  return { exitStatus, report: { code, message, hint, stack } };
}

function isInterruption(error: unknown): boolean {
  return error instanceof ColdkeepError && error.code === "E_INTERRUPTED";
}

/** An error nobody gave words to: the system's own, or a defect. */
function describeForeign(error: unknown): ErrorReport {
  if (error instanceof Error && systemCode(error) !== undefined && "syscall" in error) return { code: "E_DISK", message: messageOf(error) };
  const name = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
  return { code: "E_INTERNAL", message: `${name}${messageOf(error)}`, hint: DEFECT_HINT };
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
