/**
 * Every failure a person may meet: a fixed code, the exit status it leads to, and the next command to try.
 * Messages are lower-case, without a final stop, and name the object and the region they are about.
 */

/** The exit statuses of the program; each verb's help lists the ones it uses. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  partial: 3,
  threshold: 4,
  refused: 5,
  locked: 6,
  interrupted: 130,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

/** The one table from error code to exit status. */
const EXIT_BY_CODE = {
  E_USAGE: EXIT.usage,
  E_CONFIG: EXIT.usage,
  E_URL: EXIT.usage,
  E_KIT: EXIT.usage,
  E_CREDENTIALS: EXIT.usage,
  E_REFUSED: EXIT.refused,
  E_SIGNER: EXIT.refused,
  E_CLONE: EXIT.refused,
  E_LOCKED: EXIT.locked,
  E_STALLED: EXIT.failed,
  E_INTERRUPTED: EXIT.interrupted,
  E_IDENTITY: EXIT.failed,
  E_REGION: EXIT.failed,
  E_STORE: EXIT.failed,
  E_OBJECT: EXIT.failed,
  E_FORMAT: EXIT.failed,
  E_NOT_FOUND: EXIT.failed,
  E_DISK: EXIT.failed,
  E_COPIES: EXIT.failed,
  E_FROZEN: EXIT.failed,
  E_INTERNAL: EXIT.failed,
} as const satisfies Record<string, ExitStatus>;

export type ErrorCode = keyof typeof EXIT_BY_CODE;

export type ErrorDetails = {
  /** The next command or the way out, a whole sentence; printed on its own `hint:` line. */
  hint?: string | undefined;
  cause?: unknown;
};

/** An error meant for a person. Anything else that reaches the top is a defect of the program. */
export class ColdkeepError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  static {
    this.prototype.name = "ColdkeepError";
  }

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
  }

  get exitStatus(): ExitStatus {
    return EXIT_BY_CODE[this.code];
  }
}

/** The system's own code of an error (`ENOENT`), or undefined for any other value. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** A short text for any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
