/** What only the host itself knows of how it stands: the history of its runs, and when the next one starts. */
import type { LoadedConfig } from "../config/load.ts";
import { EXIT } from "../errors.ts";
import type { RememberedLocks } from "../policy/lock.ts";
import type { Facts } from "../policy/readiness.ts";
import { RunHistory } from "../state/run-history.ts";
import { type RegionProbe, RunState } from "../state/run-state.ts";
import { nextBackup } from "./next-run.ts";

export type LocalFacts = Pick<Facts, "verifiedAtMs" | "drilledAtMs" | "failure" | "locks"> & {
  /** Level of verify → when it last found everything sound, ms. */
  verified: Record<string, number>;
  /** When the next backup starts by itself, ms; null where none is scheduled, undefined where nobody here would know. */
  nextRunMs: number | null | undefined;
  /** What the last doctor found of each region. */
  probes: (RegionProbe & { region: string })[];
};

/** For who reads with a kit, somewhere else. */
export const NOTHING_LOCAL: LocalFacts = { verifiedAtMs: undefined, drilledAtMs: undefined, failure: null, locks: [], verified: {}, nextRunMs: undefined, probes: [] };

const LEVELS = ["presence", "checksum", "content"];
/** Levels that read what is stored. */
const THOROUGH = ["checksum", "content"];

/** The last backup, where it came to nothing. One that found the host held is no failure, one that was killed is. */
function failureOf(history: RunHistory): LocalFacts["failure"] {
  const last = history.last({ verb: "backup" });
  if (last === undefined || last.isRunning) return null;
  if (last.end === null) return { atMs: last.startedAtMs, message: "it was killed" };
  const { exitStatus, error, finishedAtMs } = last.end;
  const madeArchive = exitStatus === EXIT.done || exitStatus === EXIT.partial || exitStatus === EXIT.threshold;
  return madeArchive ? null : { atMs: finishedAtMs, message: error?.message ?? `exit ${exitStatus}` };
}

/** What the state knows of the locks on what the newest archive needs. */
function rememberedLocks({ regions }: LoadedConfig["config"], state: RunState): RememberedLocks[] {
  const asking = regions.flatMap(({ name, lock }) => (lock === null ? [] : [{ name, rule: lock }]));
  if (asking.length === 0) return [];
  const newest = state.latest()?.id;
  const ids = [...state.objects().values()].flatMap(({ id, archive }) => (archive !== undefined && archive === newest ? [id] : []));
  return asking.map(({ name, rule }) => {
    const known = state.locks(name);
    const ends = ids.flatMap((id) => known.get(id) ?? []);
    return { region: name, firstEndMs: ends.length === 0 ? null : Math.min(...ends), objects: ids.length, unknown: ids.length - ends.length, rule };
  });
}

function rememberedRegions({ config }: LoadedConfig): Pick<LocalFacts, "locks" | "probes"> {
  const state = new RunState(config.state);
  try {
    const probes = config.regions.flatMap(({ name }) => {
      const probe = state.probe(name);
      return probe === undefined ? [] : [{ region: name, ...probe }];
    });
    return { locks: rememberedLocks(config, state), probes };
  } finally {
    state.close();
  }
}

/** Throws E_DISK where the history cannot be read. */
export function readLocalFacts(loaded: LoadedConfig, program: readonly string[], nowMs: number): LocalFacts {
  const history = new RunHistory(loaded.config.state);
  try {
    const ends = LEVELS.flatMap((level): [string, number][] => {
      const at = history.lastSuccess("verify", level)?.end?.finishedAtMs;
      return at === undefined ? [] : [[level, at]];
    });
    const thorough = ends.filter(([level]) => THOROUGH.includes(level)).map(([, at]) => at);
    return {
      verified: Object.fromEntries(ends),
      verifiedAtMs: thorough.length === 0 ? null : Math.max(...thorough),
      drilledAtMs: history.lastSuccess("drill")?.end?.finishedAtMs ?? null,
      failure: failureOf(history),
      ...rememberedRegions(loaded),
      nextRunMs: nextRun(loaded, program, nowMs),
    };
  } finally {
    history.close();
  }
}

function nextRun(loaded: LoadedConfig, program: readonly string[], nowMs: number): number | null {
  try {
    return nextBackup(loaded, program, nowMs)?.atMs ?? null;
  } catch {
    // Files nobody may read here, or that are not ours, start no run that we know of.
    return null;
  }
}
