/**
 * File times as text, `sec.nsec`: seconds since the epoch rounded down, then always nine digits that count upwards.
 * Half past the fifth second before 1970 is thus `-5.500000000`, as the kernel itself keeps it (sec -5, nsec 500000000).
 */
import { ColdkeepError } from "../errors.ts";

const NS_PER_SEC = 1_000_000_000n;

export type FileTime = { sec: bigint; nsec: number };

/** `sec.nsec` of nanoseconds since the epoch. */
export function fileTimeText(ns: bigint): string {
  if (ns >= NS_PER_SEC) {
    const digits = String(ns);
    return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
  }
  const nsec = ((ns % NS_PER_SEC) + NS_PER_SEC) % NS_PER_SEC;
  return `${(ns - nsec) / NS_PER_SEC}.${String(nsec).padStart(9, "0")}`;
}

/** The inverse of `fileTimeText`. Throws E_FORMAT on any other form. */
export function parseFileTime(text: string): FileTime {
  const match = /^(-?\d{1,18})\.(\d{9})$/.exec(text);
  if (!match) throw new ColdkeepError("E_FORMAT", `"${text.slice(0, 40)}" is not a file time`);
  return { sec: BigInt(match[1] ?? ""), nsec: Number(match[2]) };
}
