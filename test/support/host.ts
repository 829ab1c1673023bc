/** A host under test: its own folder with configuration, kit, source and state, set up and run through the real program. */
import { globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fakeS3Url, type FakeS3 } from "./fake-s3.ts";
import { type ProgramOptions, type ProgramResult, runColdkeep, startColdkeep, type RunningProgram, tempDir } from "./program.ts";
import { makeTree, type TreeSpec } from "./tree.ts";

/** The document of `backup --json`, as far as tests look at it. */
export type BackupDocument = {
  schemaVersion: 1;
  archive: string | null;
  status: "complete" | "partial";
  entries: number;
  filesNew: number;
  filesChanged: number;
  filesUnchanged: number;
  vanished: number;
  sockets: number;
  changedWhileRead: number;
  bytesRead: number;
  bytesStored: number;
  regions: Record<string, "complete" | "behind">;
  dumps: { path: string; name: string; bytes: number | null }[];
  problems: { path: string; code: string; message: string }[];
  flags: { kind: string; message: string }[];
  durationMs: number;
  error?: { code: string; message: string; hint?: string };
};

export type BackupRun = ProgramResult & { document: BackupDocument };

export type HostOptions = {
  /** Region name → URL. Default: two directories, `a` and `b`. */
  regions?: Record<string, string>;
  /** What lies in the source. */
  tree?: TreeSpec;
  host?: string;
  /** Lines added to the configuration, and what each region gets besides. */
  config?: string;
  regionConfig?: string;
  env?: Record<string, string>;
  /** Default: a fresh one. */
  dir?: string;
};

/** Files younger than this are read again by design: a write in the same clock tick would leave no trace. */
const SETTLE_MS = 3100;

export class TestHost {
  readonly dir: string;
  readonly config: string;
  readonly kit: string;
  readonly source: string;
  readonly state: string;
  readonly env: Record<string, string>;
  readonly #options: HostOptions;

  constructor(options: HostOptions) {
    this.#options = options;
    this.dir = options.dir ?? tempDir();
    this.config = join(this.dir, "coldkeep.yaml");
    this.kit = join(this.dir, "kit.txt");
    this.source = join(this.dir, "source");
    this.state = join(this.dir, "state");
    this.env = options.env ?? {};
    mkdirSync(this.source, { recursive: true });
    makeTree(this.source, options.tree ?? { "a.txt": "alpha", "sub/b.txt": "beta" });
  }

  get regions(): Record<string, string> {
    return this.#options.regions ?? { a: `file://${this.dir}/regions/a`, b: `file://${this.dir}/regions/b` };
  }

  /** The directory of a region that is one. */
  region(name: string): string {
    return (this.regions[name] ?? "").replace(/^file:\/\//, "");
  }

  initArguments(): string[] {
    const regions = Object.entries(this.regions).flatMap(([name, url]) => ["--region", `${name}=${url}`]);
    return ["init", "--config", this.config, "--kit", this.kit, "--host", this.#options.host ?? "web1", "--source", this.source, ...regions];
  }

  /** Runs `init` and moves the kit away, as its owner should. */
  async init(): Promise<void> {
    const run = await this.run(this.initArguments());
    if (run.status !== 0) throw new Error(`init ended with ${run.status}: ${run.stderr}`);
    const { regionConfig, config } = this.#options;
    if (regionConfig !== undefined) this.editConfig((text) => text.replaceAll(/^( {4}url: .*)$/gm, `$1\n    ${regionConfig}`));
    // A profile of the machine that tests run on takes longer than most of what they are about, and is larger.
    const without = config !== undefined && /^machine:/m.test(config) ? "" : "machine: {profile: false}";
    this.editConfig((text) => `${text}\n${without}\n${config ?? ""}\n`);
    // Out of the place `init` noted, so that no run has to warn of it.
    mkdirSync(join(this.dir, "safe"), { mode: 0o700, recursive: true });
    renameSync(this.kit, this.movedKit);
  }

  get movedKit(): string {
    return join(this.dir, "safe", "kit.txt");
  }

  editConfig(edit: (text: string) => string): void {
    writeFileSync(this.config, edit(readFileSync(this.config, "utf8")));
  }

  run(args: string[], options: ProgramOptions = {}): Promise<ProgramResult> {
    return runColdkeep(args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** A run of `backup --json`, to its end. */
  async backup(args: string[] = [], options: ProgramOptions = {}): Promise<BackupRun> {
    const result = await this.run(["backup", "--json", "--config", this.config, ...args], options);
    return { ...result, document: result.json<BackupDocument>() };
  }

  startBackup(args: string[] = [], options: ProgramOptions = {}): RunningProgram {
    return startColdkeep(["backup", "--json", "--config", this.config, ...args], { ...options, env: { ...this.env, ...options.env } });
  }

  /** Restores the latest archive and returns where the source lies in it. Throws when that does not succeed. */
  async restored(...args: string[]): Promise<string> {
    const out = join(tempDir(), "out");
    const run = await this.run(["restore", "--kit", this.movedKit, "--to", out, ...args]);
    if (run.status !== 0) throw new Error(`restore ended with ${run.status}: ${run.stderr}`);
    return out + this.source;
  }

  /** Names of the objects of a kind in a region that is a directory. */
  objects(region: string, kind: "archives" | "checkpoints" | "catalogs" | "volumes"): string[] {
    return globSync(join(this.region(region), "hosts/*", kind, "*")).map((path) => path.slice(path.lastIndexOf("/") + 1)).toSorted();
  }

  /** Waits until the files made so far count as settled. */
  async settle(): Promise<void> {
    await sleep(SETTLE_MS);
  }
}

/** A host that was set up by `init`. */
export async function setUpHost(options: HostOptions = {}): Promise<TestHost> {
  const host = new TestHost(options);
  await host.init();
  return host;
}

/** Regions, credentials and a quick retry for a host whose regions are buckets of fake servers. */
export function s3Options(fakes: Record<string, FakeS3>, retry = "2s"): Pick<HostOptions, "regions" | "env" | "regionConfig"> {
  const regions: Record<string, string> = {};
  const env: Record<string, string> = {};
  for (const [name, fake] of Object.entries(fakes)) {
    regions[name] = fakeS3Url(fake, "vault");
    env[`COLDKEEP_${name.toUpperCase()}_ACCESS_KEY_ID`] = fake.keys.accessKeyId;
    env[`COLDKEEP_${name.toUpperCase()}_SECRET_ACCESS_KEY`] = fake.keys.secretAccessKey;
  }
  return { regions, env, regionConfig: `retry: ${retry}` };
}

/** Bytes that no compression makes smaller and no two seeds share. */
export function noise(bytes: number, seed: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let at = 0; at + 4 <= bytes; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    buffer.writeInt32LE(state | 0, at);
  }
  return buffer;
}
