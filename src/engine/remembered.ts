/** What this host's own state remembers of its chain, for whoever only reads. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ColdkeepError } from "../errors.ts";
import { RunState, type Latest } from "../state/run-state.ts";

/** The newest archive this host committed; undefined where its state does not know, or may not be read. */
export function rememberedLatest(stateDir: string): Latest | undefined {
  if (!existsSync(join(stateDir, "runs.db"))) return undefined;
  try {
    const state = new RunState(stateDir);
    try {
      return state.latest();
    } finally {
      state.close();
    }
  } catch (error) {
    if (!(error instanceof ColdkeepError)) throw error;
    return undefined;
  }
}
