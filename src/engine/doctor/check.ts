/** One line of a doctor's report. */
import { ColdkeepError, messageOf } from "../../errors.ts";

/** How a region's store behaves, as far as it was tried. */
export type RegionTraits = {
  /** Whether a put leaves an object alone that is there. */
  createOnly?: boolean;
  /** This machine's clock less the store's, ms. */
  clockOffMs?: number;
};

export type Verdict = "ok" | "warn" | "fail";

export type Check = {
  /** What was looked at: `sources`, `region north: write`. */
  name: string;
  verdict: Verdict;
  message: string;
  /** What to do about it, where something is to be done. */
  hint?: string | undefined;
  /** What was learnt of a region. */
  traits?: RegionTraits;
};

export function ok(name: string, message: string): Check {
  return { name, verdict: "ok", message };
}

export function warn(name: string, message: string, hint: string): Check {
  return { name, verdict: "warn", message, hint };
}

export function fail(name: string, message: string, hint?: string): Check {
  return { name, verdict: "fail", message, hint };
}

/** What `work` finds, or its error as a failed check. */
export async function checkedBy(name: string, work: () => Check | Promise<Check>): Promise<Check> {
  try {
    return await work();
  } catch (error) {
    return fail(name, messageOf(error), error instanceof ColdkeepError ? error.hint : undefined);
  }
}
