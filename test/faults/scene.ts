/** A verb about to run on a prepared vault, which can be put back to exactly that point as often as a fault is tried. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FakeS3, SavedBucket } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { contentOfBucket, contentOfDirectory, type Observed, type RegionContent, violate, wholeIn } from "../support/invariants.ts";
import { DAY, Life } from "../support/life.ts";
import { type ProgramResult, startColdkeep, treeDigest } from "../support/program.ts";
import { removeTree } from "../support/temp-dir.ts";
import { startNorthAndSouth } from "../support/two-regions.ts";
import { clockAt } from "../support/virtual-clock.ts";

export const VERBS = ["backup", "catch-up", "repair", "prune", "restore"] as const;
export type Verb = (typeof VERBS)[number];
export type Storage = "S3" | "directories";

const FOREIGN = "hosts/web1/volumes/holiday.jpg";
const RULE = "daily=2,keepMin=1";

/** Regions that are saved once and put back before each try. */
interface Places {
  readonly names: readonly [string, string];
  readonly fakes: readonly FakeS3[];
  content(name: string): RegionContent;
  remove(name: string, key: string): void;
  replace(name: string, key: string, bytes: Buffer): void;
  save(): void;
  reset(): void;
}

class Buckets implements Places {
  readonly names = ["north", "south"] as const;
  readonly fakes: readonly FakeS3[];
  readonly #byName: Record<string, FakeS3>;
  #saved: SavedBucket[] = [];

  constructor(byName: Record<string, FakeS3>) {
    this.#byName = byName;
    this.fakes = Object.values(byName);
  }

  #bucket(name: string) {
    const fake = this.#byName[name];
    if (fake === undefined) throw new Error(`no region ${name}`);
    return fake.bucket("vault");
  }

  content(name: string): RegionContent {
    return contentOfBucket(this.#bucket(name));
  }

  remove(name: string, key: string): void {
    this.#bucket(name).delete(key);
  }

  replace(name: string, key: string, bytes: Buffer): void {
    this.#bucket(name).set(key, bytes);
  }

  save(): void {
    this.#saved = this.names.map((name) => this.#bucket(name).save());
  }

  reset(): void {
    this.names.forEach((name, at) => {
      const saved = this.#saved[at];
      if (saved !== undefined) this.#bucket(name).load(saved);
    });
  }
}

class Folders implements Places {
  readonly names = ["a", "b"] as const;
  readonly fakes: readonly FakeS3[] = [];
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  #path(name: string): string {
    return join(this.#dir, "regions", name);
  }

  content(name: string): RegionContent {
    return contentOfDirectory(this.#path(name));
  }

  remove(name: string, key: string): void {
    rmSync(join(this.#path(name), key));
  }

  replace(name: string, key: string, bytes: Buffer): void {
    writeFileSync(join(this.#path(name), key), bytes);
  }

  save(): void {
    copyTree(join(this.#dir, "regions"), join(this.#dir, "saved-regions"));
  }

  reset(): void {
    copyTree(join(this.#dir, "saved-regions"), join(this.#dir, "regions"));
  }
}

/** An exact copy, with its times, in place of what was there. */
function copyTree(from: string, to: string): void {
  removeTree(to);
  execFileSync("cp", ["-a", "--", from, to]);
}

export class Scene {
  readonly host: TestHost;
  readonly places: Places;
  readonly verb: Verb;
  readonly target: string;
  /** Archives the verb is meant to end. */
  readonly mayGo = new Set<string>();
  /** What the verb leaves where nothing goes wrong: keys, without those of records, whose names are random. */
  #expectedKeys: string | undefined;
  readonly #life: Life | undefined;
  readonly #proven = new Set<string>();

  constructor(host: TestHost, places: Places, verb: Verb, life?: Life) {
    this.host = host;
    this.places = places;
    this.verb = verb;
    this.#life = life;
    this.target = join(host.dir, "around", "target");
  }

  get #arguments(): string[] {
    const { host, target } = this;
    switch (this.verb) {
      case "backup":
      case "catch-up":
        return ["backup", "--json", "--config", host.config];
      case "repair":
        return ["repair", "--json", "--kit", host.movedKit];
      case "prune":
        return ["prune", "--json", "--kit", host.movedKit, "--keep", RULE];
      case "restore":
        return ["restore", "--json", "--kit", host.movedKit, "--to", target];
    }
  }

  /** What no output may hold. */
  get secrets(): string[] {
    const kit = readFileSync(this.host.movedKit, "utf8");
    const keys = kit.match(/AGE-SECRET-KEY-\S+|(?<=# operator-key: )\S+/g) ?? [];
    return [...keys, ...Object.entries(this.host.env).flatMap(([name, value]) => (name.endsWith("SECRET_ACCESS_KEY") ? [value] : []))];
  }

  save(): void {
    copyTree(this.host.state, `${this.host.dir}/saved-state`);
    this.places.save();
  }

  reset(): void {
    copyTree(`${this.host.dir}/saved-state`, this.host.state);
    this.places.reset();
    removeTree(this.target);
    for (const fake of this.places.fakes) {
      fake.onRequest = () => undefined;
      fake.requests.length = 0;
    }
  }

  start(wrapper: string[] = [], env: Record<string, string> = {}, more: string[] = []): ReturnType<typeof startColdkeep> {
    const clock = this.#life === undefined ? {} : clockAt(this.#life.nowMs);
    if (this.#life !== undefined) for (const fake of this.places.fakes) fake.clockOffsetMs = this.#life.nowMs - Date.now();
    return startColdkeep([...this.#arguments, ...more], { wrapper, env: { ...this.host.env, ...clock, ...env }, timeoutMs: 120_000 });
  }

  /** The verb to its end, with nothing in its way. */
  async run(more: string[] = []): Promise<ProgramResult> {
    const run = await this.start([], {}, more).result;
    this.stamp();
    return run;
  }

  /** Gives what was written into directories the time of this life. */
  stamp(): void {
    this.#life?.stamp();
  }

  observe(): Observed {
    const { host, places } = this;
    const regions = Object.fromEntries(places.names.map((name) => [name, places.content(name)]));
    const around = join(host.dir, "around");
    const beside = readdirSync(around).filter((name) => name !== "target").map((name) => treeDigest(join(around, name), { omit: ["root"] }));
    const config = readFileSync(host.config, "utf8");
    const read = this.verb === "restore" ? Object.entries(regions).map(([name, content]) => `${name}: ${[...content.keys()].join(" ")}`) : [];
    return { regions, outside: [treeDigest(host.source), treeDigest(join(host.dir, "keys"), { omit: ["root"] }), treeDigest(join(host.dir, "safe")), ...beside, config, ...read].join("\n") };
  }

  /** Throws a Violation where a run that ended well did not do all it said, or one that did not said something untrue. */
  checkClaims(run: ProgramResult): void {
    const content = (name: string): RegionContent => this.places.content(name);
    if (this.verb === "restore") this.#checkTarget(run.status === 0);
    if (run.stdout === "") return;
    if (this.verb === "backup" || this.verb === "catch-up") {
      const { archive, regions } = run.json<{ archive?: string | null; regions?: Record<string, string> }>();
      const complete = Object.entries(regions ?? {}).flatMap(([name, state]) => (state === "complete" ? [name] : []));
      for (const name of complete) if (!wholeIn(content(name)).has(archive ?? "")) violate("I1 what is called complete is there", `archive ${archive} in region ${name}`);
      if (run.status === 0 && complete.length < 2) violate("I5 every end is a word", "exit 0 and a region is not complete");
      if (run.status === 3 && complete.length === 0) violate("I5 every end is a word", "exit 3 and no region is complete");
    } else if (this.verb !== "restore" && run.status === 0) {
      const keys = this.#keys();
      if (this.#expectedKeys !== undefined && keys !== this.#expectedKeys) violate("I6 the next run comes to the same end", `${keys}\ninstead of\n${this.#expectedKeys}`);
    }
  }

  /** All keys but those of records, by region. */
  #keys(): string {
    return this.places.names.map((name) => [...this.places.content(name).keys()].filter((key) => !key.includes("/records/")).map((key) => `${name} ${key}`).join("\n")).join("\n");
  }

  /** Everything under its final name is right, and after a success everything is there. */
  #checkTarget(isDone: boolean): void {
    const root = this.target + this.host.source;
    if (isDone) {
      if (treeDigest(root) !== treeDigest(this.host.source)) violate("I1 what is restored is what was archived", treeDigest(root));
      return;
    }
    if (!existsSync(root)) return;
    for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
      const path = join(root, name);
      if (name.includes(".coldkeep-") || !lstatSync(path).isFile()) continue;
      if (!readFileSync(path).equals(readFileSync(join(this.host.source, name)))) violate("I1 nothing unfinished has its final name", path);
    }
  }

  /** Takes what a run without a fault leaves as what every other has to come to. */
  expectThis(before: Observed): void {
    this.#expectedKeys = this.#keys();
    if (this.verb !== "prune") return;
    for (const name of this.places.names) {
      const left = wholeIn(this.places.content(name));
      for (const id of wholeIn(before.regions[name])) if (!left.has(id)) this.mayGo.add(id);
    }
  }

  /** Restores what the tries made new, each archive once. Throws a Violation. */
  async proveNew(before: Observed, from: number): Promise<void> {
    if (this.verb !== "backup" && this.verb !== "catch-up") return;
    const region = this.places.names[from % 2] ?? "";
    const old = new Set(Object.values(before.regions).flatMap((content) => [...wholeIn(content)]));
    for (const id of wholeIn(this.places.content(region))) {
      if (old.has(id) || this.#proven.has(id)) continue;
      this.#proven.add(id);
      const out = join(this.host.dir, "around", "target");
      const run = await this.host.run(["restore", "--archive", id, "--region", region, "--kit", this.host.movedKit, "--to", out]);
      if (run.status !== 0) violate("I1 every archive is restored byte for byte", `archive ${id} from ${region}: ${run.stderr}`);
      if (treeDigest(out + this.host.source) !== treeDigest(this.host.source)) violate("I1 every archive is restored byte for byte", `archive ${id} from ${region} came back as another tree`);
      removeTree(out);
    }
  }
}

async function makeHost(storage: Storage): Promise<{ host: TestHost; places: Places }> {
  const large = storage === "S3" ? 9_000_000 : 300_000;
  const tree = {
    "a.bin": noise(large, 1), "etc/b.conf": "option = 1\n", "etc/c.conf": "other = 2\n", empty: "",
    "deep/er/d.txt": { type: "file" as const, content: "d", mode: 0o640, mtime: "1500000000.123456789" },
    link: { type: "symlink" as const, target: "etc/b.conf" }, twin: { type: "hardlink" as const, target: "etc/c.conf" },
  };
  const config = storage === "S3" ? "volumeSize: 8MiB" : "";
  if (storage === "directories") {
    const host = await setUpHost({ tree, config });
    return { host, places: new Folders(host.dir) };
  }
  const { north, south } = await startNorthAndSouth();
  const host = await setUpHost({ ...s3Options({ north, south }), tree, config });
  return { host, places: new Buckets({ north, south }) };
}

async function expectDone(running: Promise<ProgramResult>, status = 0): Promise<void> {
  const run = await running;
  if (run.status !== status) throw new Error(`preparing: exit ${run.status} instead of ${status}: ${run.stderr}`);
}

/** A vault with an archive or two in both regions, and the verb's work waiting to be done. */
export async function makeScene(verb: Verb, storage: Storage): Promise<Scene> {
  const { host, places } = await makeHost(storage);
  mkdirSync(join(host.dir, "around"));
  makeCanary(join(host.dir, "around", "canary"));
  const life = verb === "prune" ? new Life(host, storage === "directories" ? ["a", "b"] : [], places.fakes) : undefined;
  const scene = new Scene(host, places, verb, life);
  await prepare(scene, life);
  for (const name of places.names) places.replace(name, FOREIGN, Buffer.from("mine"));
  scene.stamp();
  scene.save();
  const before = scene.observe();
  await expectDone(scene.run());
  scene.expectThis(before);
  scene.reset();
  return scene;
}

/** Beside the target, and reached by a link that a careless restore would follow. */
function makeCanary(path: string): void {
  mkdirSync(path);
  writeFileSync(join(path, "canary.txt"), "untouched");
  symlinkSync("canary.txt", join(path, "link"));
}

async function prepare({ host, places, verb }: Scene, life: Life | undefined): Promise<void> {
  const change = (night: number): void => {
    writeFileSync(join(host.source, "new.bin"), noise(200_000, 50 + night));
    writeFileSync(join(host.source, "etc/c.conf"), `other = ${night}\n`);
  };
  if (life !== undefined) {
    for (let night = 0; night < 4; night++) {
      change(night);
      await life.backup();
      life.nowMs += DAY;
    }
    // Two of the four expire now and have their grace behind them when the verb runs; by then two more are beyond the rule.
    await expectDone(life.run(["prune", "--kit", host.movedKit, "--keep", RULE]));
    life.nowMs += 4 * DAY;
    for (let night = 4; night < 6; night++) {
      change(night);
      await life.backup();
      life.nowMs += DAY;
    }
    return;
  }
  await expectDone(host.backup());
  if (verb === "restore") return;
  change(1);
  if (verb === "backup") return;
  const [kept, other] = places.names;
  await expectDone(host.backup());
  if (verb === "catch-up") {
    // As if the region had been away that night.
    for (const key of newestArchive(places.content(kept))) places.remove(other, key);
    change(2);
    return;
  }
  const keys = [...places.content(other).keys()];
  const volumes = keys.filter((key) => key.includes("/volumes/"));
  const [missing = "", flipped = ""] = [volumes[0], volumes[1] ?? keys.find((key) => key.includes("/catalogs/"))];
  const bytes = Buffer.from(places.content(other).get(flipped) ?? "");
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  places.remove(other, missing);
  places.replace(other, flipped, bytes);
  places.remove(other, keys.findLast((key) => key.includes("/archives/")) ?? "");
}

/** The newest manifest, catalog and volume. */
function newestArchive(content: RegionContent): string[] {
  return ["archives", "catalogs", "volumes"].flatMap((kind) => [...content.keys()].findLast((key) => key.includes(`/${kind}/`)) ?? []);
}
