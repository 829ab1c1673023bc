/** Why a connection to a service failed, for people. */

const REASONS: Record<string, string> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was closed without an answer",
  EPIPE: "the connection was closed without an answer",
  ENOTFOUND: "its name is not known",
  EAI_AGAIN: "its name could not be looked up",
  EHOSTUNREACH: "it cannot be reached",
  ENETUNREACH: "it cannot be reached",
  ETIMEDOUT: "it does not answer",
  EMFILE: "this program has too many connections open",
};

/** By the system's own code; undefined for one that says nothing more than its error does. */
export function connectionReason(code: string): string | undefined {
  return REASONS[code];
}
