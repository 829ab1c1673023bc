/** What every kind of health check is given, and what it gives back. */

/** What one try found. `measured`: figures and words for the report; never a secret. */
export type Finding = { ok: boolean; /** Null when all is well. */ why: string | null; measured: Record<string, number | string> };

export type ProbeOrder = { timeoutMs: number; /** Aborted at the check's own time-out too. */ signal: AbortSignal };

export function well(measured: Finding["measured"] = {}): Finding {
  return { ok: true, why: null, measured };
}

export function ill(why: string, measured: Finding["measured"] = {}): Finding {
  return { ok: false, why, measured };
}
