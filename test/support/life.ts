/** A host over days: its program, its directory regions and fake servers share a clock that the test moves. */
import { globSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { FakeS3 } from "./fake-s3.ts";
import type { BackupRun, TestHost } from "./host.ts";
import { type ProgramResult, tempDir, treeDigest } from "./program.ts";
import { clockAt } from "./virtual-clock.ts";

export const DAY = 86_400_000;
/** Years ahead of the real time: what has a time before that was written just now. */
export const LIFE_START = Date.parse("2030-03-01T02:30:00Z");

/** The document of `prune --json`, as far as tests look at it. */
export type PruneDocument = {
  hosts: {
    archives: { archive: string; verdict: string; reason: string }[];
    plan: { region: string; objects: number; waiting: { objects: number } }[];
    done: { regions: { region: string; manifests: number; objects: number; freedBytes: number }[] } | null;
    failure: { code: string } | null;
  }[];
};

/** A host, and a clock for its program, its directories and the fake servers, if there are any. */
export class Life {
  readonly host: TestHost;
  readonly #fakes: readonly FakeS3[];
  readonly #directories: string[];
  nowMs = LIFE_START;

  constructor(host: TestHost, directories: string[], fakes: readonly FakeS3[] = []) {
    this.host = host;
    this.#directories = directories;
    this.#fakes = fakes;
  }

  /** Runs the program at the present of this life, and dates what it wrote into directories. */
  async run(args: string[]): Promise<ProgramResult> {
    for (const fake of this.#fakes) fake.clockOffsetMs = this.nowMs - Date.now();
    const result = await this.host.run(args, { env: clockAt(this.nowMs) });
    this.stamp();
    return result;
  }

  stamp(): void {
    for (const directory of this.#directories) {
      for (const path of globSync(join(this.host.region(directory), "**/*")).filter((each) => statSync(each).isFile())) {
        if (statSync(path).mtimeMs < LIFE_START - 365 * DAY) utimesSync(path, this.nowMs / 1000, this.nowMs / 1000);
      }
    }
  }

  async backup(): Promise<BackupRun["document"]> {
    const run = await this.run(["backup", "--json", "--config", this.host.config]);
    expect(run.status, run.stderr).toBe(0);
    return run.json<BackupRun["document"]>();
  }

  async prune(...args: string[]): Promise<{ status: number | null; document: PruneDocument; stderr: string }> {
    const run = await this.run(["prune", "--json", ...args]);
    return { status: run.status, document: run.json<PruneDocument>(), stderr: run.stderr };
  }

  /** The digest of the source as an archive has it. */
  async restored(archive: string): Promise<string> {
    const out = join(tempDir(), "out");
    const run = await this.run(["restore", "--archive", archive, "--kit", this.host.movedKit, "--to", out]);
    expect(run.status, run.stderr).toBe(0);
    return treeDigest(out + this.host.source);
  }
}

/** Bytes of all objects of hosts in a region that is a directory. */
export function bytesBelow(directory: string): number {
  return globSync(join(directory, "hosts/**/*")).reduce((sum, path) => sum + (statSync(path).isFile() ? statSync(path).size : 0), 0);
}
