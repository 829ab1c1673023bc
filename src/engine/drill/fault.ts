/** Why a drill failed: the archive, or what was made of it, is not what a rebuild needs. Other errors say that there was no drill. */
import { ColdkeepError, type ErrorCode } from "../../errors.ts";

export class DrillFault extends Error {
  readonly why: string[];

  static {
    this.prototype.name = "DrillFault";
  }

  constructor(why: string[]) {
    super(why.join("; "));
    this.why = why;
  }
}

const FAILED: readonly ErrorCode[] = ["E_OBJECT", "E_FORMAT", "E_IDENTITY", "E_STORE", "E_FROZEN", "E_DISK"];

/** What a failed drill says of why; null for what stopped it before it could say anything of the archive. */
export function drillFault(error: unknown): string[] | null {
  if (error instanceof DrillFault) return error.why;
  return error instanceof ColdkeepError && FAILED.includes(error.code) ? [error.message] : null;
}
