/** One part of one round: the data, the programs with fresh vaults, and the measuring of one step after the other. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GIB, MIB } from "../../src/units.ts";
import type { Contestant, ContestantName } from "./contestants/contestant.ts";
import { treeFacts } from "./corpus/tree-facts.ts";
import type { Measured } from "./measure.ts";
import type { RowName, Rows } from "./rows.ts";
import { storeCpuMs } from "./store-cpu.ts";
import { formatSeconds } from "./table.ts";

/** A file that changed less than that before a night may have changed again within the same tick of its clock, so the next one reads it again. */
const SETTLE_MS = 3100;

export type SceneSetup = {
  /** From 0. */
  round: number;
  folder: string;
  source: string;
  /** In the order in which they take their turns. */
  contestants: readonly Contestant[];
  rows: Rows;
  signal: AbortSignal;
  tell: (text: string) => void;
};

export type StepOptions = { /** The step stores something: count its bytes. */ stores?: boolean; /** For steps so short that one figure says little. */ times?: number };

export class Scene {
  readonly setup: SceneSetup;
  readonly #targets = new Map<ContestantName, string>();
  readonly #left = new Set<ContestantName>();
  #restoreFolder: string | undefined;

  constructor(setup: SceneSetup) {
    this.setup = setup;
  }

  /** Puts the source on disk before the clock runs, so that its writing back is no part of a figure. */
  sync(): void {
    spawnSync("sync", ["-f", this.setup.folder]);
  }

  /** Waits until the next night can trust the times of the source's files. */
  async settle(): Promise<void> {
    this.sync();
    await sleep(SETTLE_MS, undefined, { signal: this.setup.signal });
  }

  /** From here on without this one: it keeps no state, so that a second night would be its first again. */
  forget(name: ContestantName): void {
    this.#left.add(name);
  }

  /** Every contestant that knows the step takes it, one after the other. */
  async measure(row: RowName, step: (contestant: Contestant) => Promise<Measured> | undefined, { stores = false, times = 1 }: StepOptions = {}): Promise<void> {
    const { contestants, rows, tell } = this.setup;
    for (let i = 0; i < times; i++) {
      for (const contestant of contestants) {
        if (this.#left.has(contestant.name)) continue;
        const storedBefore = stores ? await contestant.storedBytes?.() : undefined;
        const cpuBefore = storeCpuMs();
        const measured = await step(contestant);
        if (measured === undefined) continue;
        const cpuAfter = storeCpuMs();
        const stored = storedBefore === undefined ? undefined : ((await contestant.storedBytes?.()) ?? 0) - storedBefore;
        const { wallMs, cpuMs, peakBytes } = measured;
        const ofStores = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore;
        rows.add(row, contestant.name, { wallMs, cpuMs, peakBytes, ...(ofStores !== undefined && { storeCpuMs: ofStores }), ...(stored !== undefined && { storedBytes: stored }) });
        tell(`${row}: ${contestant.name} ${formatSeconds(wallMs)}`);
      }
    }
  }

  /** Restores everything, `onto` what the restore before it left; throws when files are missing, because less is always faster. */
  async measureRestore(row: RowName, onto: "nothing" | "earlier"): Promise<void> {
    const { source } = this.setup;
    const wanted = treeFacts(source);
    await this.measure(row, (contestant) => contestant.restore?.(this.#target(contestant, wanted.bytes), onto));
    for (const { name } of this.setup.contestants) {
      const target = this.#targets.get(name);
      if (target === undefined) continue;
      const found = treeFacts(join(target, source));
      if (found.files !== wanted.files || found.bytes !== wanted.bytes) {
        throw new Error(`${name} restored ${found.files} files and ${found.bytes} bytes of ${wanted.files} and ${wanted.bytes}`);
      }
    }
  }

  async measureOneFile(row: RowName, path: string, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const into = mkdtempSync(join(this.setup.folder, "one-file-"));
      await this.measure(row, (contestant) => contestant.restoreOne?.(path, join(into, contestant.name)));
      for (const contestant of this.setup.contestants) {
        if ("restoreOne" in contestant && treeFacts(join(into, contestant.name)).files !== 1) throw new Error(`${contestant.name} did not restore ${path}`);
      }
      rmSync(into, { recursive: true });
    }
  }

  discardTargets(): void {
    for (const target of this.#targets.values()) rmSync(target, { recursive: true, force: true });
    this.#targets.clear();
  }

  #target({ name }: Contestant, bytes: number): string {
    const known = this.#targets.get(name);
    if (known !== undefined) return known;
    // All go to the same place, or one would have the disk against it and the other not.
    this.#restoreFolder ??= restoreFolder(bytes * this.setup.contestants.length) ?? this.setup.folder;
    const target = mkdtempSync(join(this.#restoreFolder, "coldkeep-bench-"));
    this.#targets.set(name, target);
    return target;
  }
}

/** The same with memory that was used before: the first use of a page costs a virtual machine as much as writing a small file. */
function restoreFolder(bytes: number): string | undefined {
  const folder = memoryFolder(bytes);
  if (folder === undefined) return undefined;
  const file = join(folder, `coldkeep-bench-${process.pid}`);
  const block = Buffer.alloc(MIB);
  const fd = openSync(file, "wx", 0o600);
  try {
    for (let written = 0; written < bytes; written += block.length) writeSync(fd, block);
  } finally {
    closeSync(fd);
    rmSync(file);
  }
  return folder;
}

/** Where restores go to memory, so that the disk is no part of the figure; undefined where there is no room for `bytes`. */
export function memoryFolder(bytes: number): string | undefined {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    // The file system's own bound knows nothing of memory that others use.
    return Math.min(bavail * bsize, process.availableMemory()) > bytes * 1.2 + GIB ? "/dev/shm" : undefined;
  } catch {
    return undefined;
  }
}
