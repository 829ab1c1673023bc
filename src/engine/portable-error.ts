/** Errors on their way between threads: classes do not survive a message, codes and hints do. */
import { ColdkeepError, messageOf, systemCode, type ErrorCode } from "../errors.ts";

export type PortableError = { code: ErrorCode; message: string; hint?: string | undefined; stack?: string | undefined };

const DISK_FULL = new Set(["ENOSPC", "EDQUOT", "ERR_SQLITE_ERROR"]);

export function toPortableError(error: unknown): PortableError {
  if (error instanceof ColdkeepError) return { code: error.code, message: error.message, hint: error.hint, stack: error.stack };
  const stack = error instanceof Error ? error.stack : undefined;
  const code = systemCode(error);
  if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) {
    const hint = DISK_FULL.has(code) ? "Make room on that disk and run again; nothing stored is lost." : undefined;
    return { code: "E_DISK", message: messageOf(error), hint, stack };
  }
  return { code: "E_INTERNAL", message: messageOf(error), stack };
}

/** The error in this thread again. */
export function fromPortableError(error: PortableError): ColdkeepError {
  return new ColdkeepError(error.code, error.message, { hint: error.hint, cause: error.stack });
}
