/** Looks at everything a nightly run depends on, without making one. */
import type { LoadedConfig } from "../../config/load.ts";
import { ColdkeepError } from "../../errors.ts";
import { RunState } from "../../state/run-state.ts";
import { formatLocalTime, formatSize } from "../../units.ts";
import type { Emit } from "../events.ts";
import { readHostSetup, regionSpecs } from "../host-setup.ts";
import { profileHere } from "../machine-profile.ts";
import { nextBackup } from "../next-run.ts";
import { closeRegions, openRegions, type Region, type RegionSpec } from "../region.ts";
import { type Check, checkedBy, ok, type RegionTraits, warn } from "./check.ts";
import { checkData } from "./data-checks.ts";
import { checkHost } from "./host-checks.ts";
import { checkRegion, type RegionChecks } from "./region-checks.ts";

/** A doctor's patient waits: a region that does not answer is named soon. */
const RETRY_MS = 5_000;
const DEADLINE_MS = 60_000;

export type DoctorOrder = {
  loaded: LoadedConfig;
  env: Readonly<Record<string, string | undefined>>;
  uid: number;
  /** The command line that starts this program. */
  program: readonly string[];
  nowMs: number;
  emit: Emit;
  signal: AbortSignal;
};

/** Opens each region by itself, so that credentials missing for one say nothing about the others. */
async function examineRegion(spec: RegionSpec, about: RegionChecks, emit: Emit): Promise<Check[]> {
  let regions: Region[] = [];
  const opened = await checkedBy(`region ${spec.name}: reach`, async () => {
    regions = await openRegions([spec], emit);
    return ok(spec.name, "opened");
  });
  try {
    return regions.length === 0 ? [opened] : (await Promise.all(regions.map((region) => checkRegion(region, about)))).flat();
  } finally {
    closeRegions(regions);
  }
}

/** Keeps what was learnt of each region. A state that cannot be written is a check of its own. */
function remember(stateDir: string, perRegion: ReadonlyMap<string, readonly Check[]>, nowMs: number): void {
  try {
    const state = new RunState(stateDir);
    try {
      for (const [name, checks] of perRegion) {
        const { createOnly = null, clockOffMs = null } = checks.reduce<RegionTraits>((known, { traits }) => ({ ...known, ...traits }), {});
        if (createOnly !== null || clockOffMs !== null) state.noteProbe(name, { createOnly, clockOffMs, probedAtMs: nowMs });
      }
    } finally {
      state.close();
    }
  } catch (error) {
    if (!(error instanceof ColdkeepError)) throw error;
  }
}

/** Whether anything starts the next run. */
function checkSchedule(loaded: LoadedConfig, program: readonly string[], nowMs: number): Promise<Check> {
  return checkedBy("schedule", () => {
    const next = nextBackup(loaded, program, nowMs);
    if (next === null) return warn("schedule", "nothing on this machine starts the next backup", "Run `coldkeep schedule install`, or see that something of your own starts it.");
    return ok("schedule", next.atMs === null ? "a backup is scheduled" : `the next backup starts ${formatLocalTime(next.atMs)}`);
  });
}

/** Whether there is data on this machine that nobody archives. */
function checkCoverage(loaded: LoadedConfig, nowMs: number, signal: AbortSignal): Promise<Check> {
  return checkedBy("uncovered data", async () => {
    const { uncovered } = await profileHere(loaded, nowMs, signal);
    const [largest] = uncovered;
    if (largest === undefined) return ok("uncovered data", "no large directory and no file of a service was found outside of the sources");
    const more = uncovered.length === 1 ? "" : `, and ${uncovered.length - 1} more`;
    return warn("uncovered data", `no source covers ${largest.path} (${formatSize(largest.bytes)})${more}`, "See `coldkeep profile`: add what matters to `sources`, and name the rest in `machine.ignoreUncovered`.");
  });
}

/** Throws E_CONFIG and E_REFUSED where the host's own keys cannot be read, E_INTERRUPTED. */
export async function examine({ loaded, env, uid, program, nowMs, emit, signal }: DoctorOrder): Promise<Check[]> {
  const { config } = loaded;
  const setup = readHostSetup(loaded);
  const { copies, regions: configured } = config;
  const configuration = ok("configuration", `${loaded.path}: host ${config.host}, ${configured.length} regions, ${copies} of them needed`);
  const specs = regionSpecs(loaded).map((spec) => ({ ...spec, retryMs: RETRY_MS, deadlineMs: DEADLINE_MS }));
  emit({ kind: "progress", text: "looking at the regions" });
  const about = { vault: config.vault, host: config.host, signers: setup.trust.signers, writer: setup.keys.writer, signal };
  const perRegion = await Promise.all(specs.map(async (spec) => [spec.name, await examineRegion(spec, about, emit)] as const));
  signal.throwIfAborted();
  remember(config.state, new Map(perRegion), nowMs);
  return [configuration, ...(await checkHost(setup, env, uid)), ...(await checkData(config, signal)), await checkSchedule(loaded, program, nowMs), await checkCoverage(loaded, nowMs, signal), ...perRegion.flatMap(([, checks]) => checks)];
}
