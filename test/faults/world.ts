/**
 * A host, three regions and a clock, for sequences of everything that may happen to them; and the plain account of what must
 * then be true, kept from the bytes themselves.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { vi } from "vitest";
import { noise, setUpHost, type TestHost } from "../support/host.ts";
import { runInProcess } from "../support/in-process.ts";
import { type Allowed, checkInvariants, contentOfDirectory, listedIn, type Observed, type RegionContent, violate } from "../support/invariants.ts";
import { type ProgramResult, treeDigest } from "../support/program.ts";
import { removeTree } from "../support/temp-dir.ts";

export const NAMES = ["a", "b", "c"] as const;
export const HOUR = 3_600_000;
const START = Date.parse("2030-03-01T02:30:00Z");
const OTHER_WRITER = "5".repeat(32);

function copyTree(from: string, to: string): void {
  removeTree(to);
  execFileSync("cp", ["-a", "--", from, to]);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** What one archive is, as its backup said and the disk was. */
type Made = { id: string; manifest: Buffer; objects: { key: string; sha256: string }[]; status: string; writer: string };

export class World {
  readonly host: TestHost;
  readonly made = new Map<string, Made>();
  /** Regions that are away. */
  readonly away = new Set<string>();
  /** Something was damaged, rolled back or taken away since regions were last repaired with all of them there. */
  isDirty = false;
  /** The clock went back. */
  wentBack = false;
  #nowMs = START;
  #files = 0;
  #saved = 0;

  private constructor(host: TestHost) {
    this.host = host;
  }

  /** A host that `init` has set up; call `begin` before each sequence. */
  static async create(): Promise<World> {
    const dir = await setUpHost({ tree: { "a.txt": "alpha" } }).then((first) => first.dir);
    removeTree(join(dir, "regions"));
    for (const name of ["coldkeep.yaml", "keys", "safe", "state"]) removeTree(join(dir, name));
    const regions = Object.fromEntries(NAMES.map((name) => [name, `file://${dir}/regions/${name}`]));
    const host = await setUpHost({ dir, regions, tree: { "a.txt": "alpha" } });
    const world = new World(host);
    for (const name of ["regions", "state", "source", "keys"]) if (existsSync(join(dir, name))) copyTree(join(dir, name), join(dir, `first-${name}`));
    return world;
  }

  begin(): void {
    const { dir } = this.host;
    for (const name of ["regions", "state", "source", "keys"]) {
      if (existsSync(join(dir, `first-${name}`))) copyTree(join(dir, `first-${name}`), join(dir, name));
      else removeTree(join(dir, name));
    }
    for (const name of ["away", "trees", "saved"]) {
      removeTree(join(dir, name));
      mkdirSync(join(dir, name));
    }
    this.made.clear();
    this.away.clear();
    this.isDirty = this.wentBack = false;
    this.#files = this.#saved = 0;
    this.#nowMs = START;
    vi.setSystemTime(START);
  }

  moveClock(ms: number): void {
    this.#nowMs += ms;
    if (ms < 0) this.wentBack = true;
    vi.setSystemTime(this.#nowMs);
  }

  path(region: string): string {
    return join(this.host.dir, this.away.has(region) ? "away" : "regions", region);
  }

  get present(): string[] {
    return NAMES.filter((name) => !this.away.has(name));
  }

  takeAway(region: string): void {
    renameSync(join(this.host.dir, "regions", region), join(this.host.dir, "away", region));
    this.away.add(region);
  }

  bringBack(region: string): void {
    this.away.delete(region);
    renameSync(join(this.host.dir, "away", region), join(this.host.dir, "regions", region));
  }

  /** What a region holds, also one that is away. */
  content(region: string): RegionContent {
    return contentOfDirectory(this.path(region));
  }

  /** Keeps regions and state as they are now; returns the number to go back to. */
  save(): number {
    const to = join(this.host.dir, "saved", String(this.#saved));
    mkdirSync(to);
    for (const name of NAMES) copyTree(this.path(name), join(to, name));
    if (existsSync(this.host.state)) copyTree(this.host.state, join(to, "state"));
    return this.#saved++;
  }

  get saves(): number {
    return this.#saved;
  }

  rollBackRegions(save: number, names: readonly string[]): void {
    for (const name of names) copyTree(join(this.host.dir, "saved", String(save), name), this.path(name));
    this.isDirty = true;
  }

  rollBackState(save: number): void {
    removeTree(this.host.state);
    const from = join(this.host.dir, "saved", String(save), "state");
    if (existsSync(from)) copyTree(from, this.host.state);
  }

  loseState(): void {
    removeTree(this.host.state);
  }

  /** The keys are those of another instance of the host from now on, or of the first again. */
  becomeOther(): void {
    const path = join(this.host.dir, "keys", "writer");
    const first = readFileSync(join(this.host.dir, "first-keys", "writer"), "utf8");
    writeFileSync(path, readFileSync(path, "utf8") === first ? `${OTHER_WRITER}\n` : first, { mode: 0o600 });
  }

  /** Changes the source a little, as a day of work does. */
  changeSource(x: number): void {
    const { source } = this.host;
    const files = readdirSync(source);
    const name = files[x % files.length] ?? "";
    if (x % 5 === 0 && files.length > 2) rmSync(join(source, name));
    else if (x % 5 === 1) writeFileSync(join(source, name), `changed ${x}`);
    else writeFileSync(join(source, `file-${++this.#files}`), noise(200 + (x % 60_000), x + 1));
  }

  /** One run of the program, in this process. What it wrote gets the time of this world. Checks what always holds. */
  async run(args: string[], allowed: Partial<Allowed> = {}): Promise<ProgramResult> {
    const before = this.#observe();
    const run = await runInProcess(args, { cwd: this.host.dir });
    this.#stamp();
    const bad = this.#badKeys(before);
    checkInvariants(before, this.#observe(), run, { mayGo: new Set(), secrets: this.#secrets, bad, ...allowed });
    return run;
  }

  get #secrets(): string[] {
    return readFileSync(this.host.movedKit, "utf8").match(/AGE-SECRET-KEY-\S+/g) ?? [];
  }

  #observe(): Observed {
    return { regions: Object.fromEntries(this.present.map((name) => [name, this.content(name)])), outside: treeDigest(this.host.source) };
  }

  #stamp(): void {
    for (const name of this.present) {
      for (const path of globSync(join(this.path(name), "**/*"))) {
        if (statSync(path).isFile() && statSync(path).mtimeMs < START - 365 * 24 * HOUR) utimesSync(path, this.#nowMs / 1000, this.#nowMs / 1000);
      }
    }
  }

  /** `region key` of what was not right already. */
  #badKeys({ regions }: Observed): Set<string> {
    const bad = new Set<string>();
    for (const [name, content] of Object.entries(regions)) {
      for (const { objects } of this.made.values()) {
        for (const { key, sha256: digest } of objects) {
          const bytes = content.get(key);
          if (bytes !== undefined && sha256(bytes) !== digest) bad.add(`${name} ${key}`);
        }
      }
    }
    return bad;
  }

  noteArchive(id: string): void {
    const [holder] = this.present.filter((name) => this.content(name).has(manifestKey(id)));
    const manifest = holder === undefined ? undefined : this.content(holder).get(manifestKey(id));
    const listed = manifest === undefined ? null : listedIn(manifest);
    if (manifest === undefined || listed === null) violate("I1 what is called stored is there", `archive ${id} is in no region`);
    const header = JSON.parse(manifest.toString("utf8", 0, manifest.indexOf(10))) as { status: string; writer: string };
    const objects = listed.map((each) => ({ key: each.key("web1"), sha256: each.listed.sha256 }));
    this.made.set(id, { id, manifest, objects, status: header.status, writer: header.writer });
    copyTree(this.host.source, this.#treeOf(id));
  }

  #treeOf(id: string): string {
    return join(this.host.dir, "trees", id);
  }

  /** Archives that a record in a region that is there has ended. */
  get expired(): Set<string> {
    const ended = new Set<string>();
    for (const name of this.present) {
      for (const [key, bytes] of this.content(name)) {
        if (!key.includes("/records/")) continue;
        const record = JSON.parse(bytes.toString("utf8", 0, bytes.indexOf(10))) as { kind: string; archive?: string };
        if (record.kind === "expire" && record.archive !== undefined) ended.add(record.archive);
      }
    }
    return ended;
  }

  /** Archives with a right manifest in a region that is there, the oldest first, those without that have ended. */
  get living(): Made[] {
    const contents = this.present.map((name) => this.content(name));
    const { expired } = this;
    const isThere = ({ id, manifest }: Made): boolean => !expired.has(id) && contents.some((content) => content.get(manifestKey(id))?.equals(manifest) === true);
    return [...this.made.values()].filter((each) => isThere(each)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Whether a region that is there holds a manifest that is not as it was put. */
  get hasDamagedManifest(): boolean {
    return this.present.some((name) => [...this.content(name)].some(([key, bytes]) => {
      const id = /\/archives\/(.*)\.manifest$/.exec(key)?.[1];
      return id !== undefined && this.made.get(id)?.manifest.equals(bytes) !== true;
    }));
  }

  /** Whether a region holds all of it right. */
  isWhole({ id, manifest, objects }: Made, region: string): boolean {
    const content = this.content(region);
    return content.get(manifestKey(id))?.equals(manifest) === true && objects.every(({ key, sha256: digest }) => isRight(content.get(key), digest));
  }

  /** Whether each of its objects is right in some region that is there. */
  isRestorable({ objects }: Made): boolean {
    const contents = this.present.map((name) => this.content(name));
    return objects.every(({ key, sha256: digest }) => contents.some((content) => isRight(content.get(key), digest)));
  }

  /** Compares what a restore wrote with what was archived: all of it, or no file that is wrong. */
  compareRestored(id: string, out: string, isWhole: boolean): void {
    const root = out + this.host.source;
    if (isWhole) {
      if (treeDigest(root) !== treeDigest(this.#treeOf(id))) violate("I1 what is restored is what was archived", `archive ${id}`);
      return;
    }
    if (!existsSync(root)) return;
    for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
      const path = join(root, name);
      if (!lstatSync(path).isFile() || name.includes(".coldkeep-")) continue;
      if (!readFileSync(path).equals(readFileSync(join(this.#treeOf(id), name)))) violate("I1 nothing wrong is written", `${name} of archive ${id}`);
    }
  }
}

export function manifestKey(id: string): string {
  return `hosts/web1/archives/${id}.manifest`;
}

function isRight(bytes: Buffer | undefined, digest: string): boolean {
  return bytes !== undefined && sha256(bytes) === digest;
}
