/**
 * `npm run demo`: the main job on a real tree of this machine, in a temporary folder, as whoever runs it. Exits 0 only when
 * the restored tree equals the lost one, and a tree damaged in every region was noticed.
 *   npm run demo -- [--damage-both] [--source DIR]… [--entries N]
 * With --damage-both the byte is flipped in both regions before the restore, which must make the demo fail.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readSync, renameSync, statSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatSize, MIB } from "../../src/units.ts";
import { changeTree, makeDatabase, touchPage } from "./changes.ts";
import { compareTrees } from "./compare-trees.ts";
import { copyTrees } from "./copy-tree.ts";
import { listIn, numberIn, Program, type Run } from "./program.ts";
import { count, Report } from "./report.ts";
import { inWorkspace, Stopped } from "./workspace.ts";

const ENTRIES = 12_000;
const BYTES_MAX = 300 * MIB;
const DATABASE_BYTES = 32 * MIB;
const SHOWN_MAX = 10;
/** Files changed this shortly before a run are read again by the next one, by design. */
const SETTLE_MS = 3100;
const modules = fileURLToPath(new URL("../../node_modules", import.meta.url));
const CANDIDATES = ["/usr/share", "/usr/lib", "/usr/include", modules, "/usr/local", "/etc"];

type Options = { damageBoth: boolean; sources: readonly string[]; entries: number };

/** The demo has shown that something is wrong. */
class Failure extends Error {}

function readOptions(): Options {
  const { values } = parseArgs({
    options: { "damage-both": { type: "boolean" }, source: { type: "string", multiple: true }, entries: { type: "string" } },
  });
  const entries = Number(values.entries ?? ENTRIES);
  if (!Number.isInteger(entries) || entries < 1) throw new Failure(`--entries ${values.entries} is not a number of entries`);
  return { damageBoth: values["damage-both"] === true, sources: values.source ?? CANDIDATES, entries };
}

function expectStatus(run: Run, what: string, ...allowed: number[]): void {
  if (run.status !== null && allowed.includes(run.status)) return;
  throw new Failure(`${what} ended with status ${run.status}, not ${allowed.join(" or ")}:\n${run.stderr.trim() || JSON.stringify(run.document)}`);
}

/** The largest volume of the first archive: most of what must come back lies in it. */
function largestVolume(region: string): string {
  const names = readdirSync(region, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".tar.zst.age"));
  const [largest] = names.sort((a, b) => statSync(join(region, b)).size - statSync(join(region, a)).size);
  if (largest === undefined) throw new Failure(`no volume in ${region}`);
  return largest;
}

function flipByte(path: string): number {
  const at = Math.floor(statSync(path).size / 2);
  const descriptor = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(descriptor, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x01;
  writeSync(descriptor, byte, 0, 1, at);
  closeSync(descriptor);
  return at;
}

class Demo {
  readonly #options: Options;
  readonly #signal: AbortSignal;
  readonly #report = new Report();
  readonly #program: Program;
  readonly #at: (name: string) => string;
  readonly #config: string;
  /** Where the kit lies after it was moved "off the machine". */
  readonly #kit: string;
  readonly #tree: string;
  readonly #reference: string;

  constructor(options: Options, folder: string, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#program = new Program(folder, signal);
    this.#at = (name) => join(folder, name);
    this.#config = this.#at("etc/coldkeep.yaml");
    this.#kit = this.#at("safe/kit.txt");
    this.#tree = this.#at("server");
    this.#reference = this.#at("reference");
  }

  async run(): Promise<void> {
    this.#report.title(`coldkeep demo (Node ${process.versions.node}, ${availableParallelism()} processors) in ${this.#at("")}`);
    await this.#setUp();
    await this.#firstNight();
    await this.#secondNight();
    const volume = await this.#damage();
    this.#lose();
    await this.#restore();
    const { entries, bytes } = await this.#compare();
    await this.#counterTest(volume);
    this.#report.passed(`${count(entries)} entries and ${formatSize(bytes)} came back exactly as they were`);
  }

  async #setUp(): Promise<void> {
    const { sources, entries } = this.#options;
    const copied = await copyTrees(sources, this.#tree, { entries, bytes: BYTES_MAX }, this.#signal);
    makeDatabase(join(this.#tree, "orders.db"), DATABASE_BYTES);
    const unreadable = copied.unreadable > 0 ? [`${copied.unreadable} could not be read by this user, and were left out`] : [];
    this.#report.step("copy", `${count(copied.entries)} entries, ${formatSize(copied.bytes)}, from ${copied.from.join(", ")}; and a database`, unreadable);
    for (const name of ["etc", "safe", "regions"]) mkdirSync(this.#at(name), { mode: 0o700 });
    const regions = ["north", "south"].flatMap((name) => ["--region", `${name}=file://${this.#at(`regions/${name}`)}`]);
    const init = await this.#program.run("init", "--config", this.#config, "--kit", this.#at("kit.txt"), "--host", "demo", "--source", this.#tree, ...regions);
    expectStatus(init, "init", 0);
    renameSync(this.#at("kit.txt"), this.#kit);
    this.#report.step("init", "two directory regions, north and south; the kit is moved off the server");
    await sleep(SETTLE_MS, undefined, { signal: this.#signal });
    this.#report.step("wait", "until nothing was changed just now");
  }

  async #backup(): Promise<Run> {
    const backup = await this.#program.run("backup", "--config", this.#config);
    expectStatus(backup, "backup", 0);
    return backup;
  }

  async #firstNight(): Promise<void> {
    const run = await this.#backup();
    const read = `${count(numberIn(run, "entries"))} entries, ${formatSize(numberIn(run, "bytesRead"))} read`;
    this.#report.step("backup", `${read}, ${formatSize(numberIn(run, "bytesStored"))} stored in each region`);
  }

  async #secondNight(): Promise<void> {
    const { edited, added, deleted, renamed } = changeTree(this.#tree);
    touchPage(join(this.#tree, "orders.db"));
    this.#report.step("change", `${edited} files edited, ${added} added, ${deleted} deleted, ${renamed} renamed; one page of the database`);
    const run = await this.#backup();
    const files = `${count(numberIn(run, "filesUnchanged"))} files unchanged, ${numberIn(run, "filesNew") + numberIn(run, "filesChanged")} read`;
    this.#report.step("backup", `${files}, ${formatSize(numberIn(run, "bytesStored"))} stored in each region`);
  }

  async #damage(): Promise<string> {
    const volume = largestVolume(this.#at("regions/north"));
    const regions = this.#options.damageBoth ? ["north", "south"] : ["north"];
    const [at] = regions.map((region) => flipByte(join(this.#at("regions"), region, volume)));
    this.#report.step("damage", `byte ${count(at ?? 0)} flipped in ${regions.join(" and ")}`, [volume]);
    if (this.#options.damageBoth) await this.#verify(volume, 1, "lost, in every region");
    else await this.#verify(volume, 3, "damaged in north, whole in south");
    return volume;
  }

  /** The damaged volume must be named, and the exit status must say how bad it is. */
  async #verify(volume: string, status: number, meaning: string): Promise<void> {
    const run = await this.#program.run("verify", "--config", this.#config);
    expectStatus(run, "verify", status);
    const id = volume.replace(/^.*\//, "").replace(/\..*$/, "");
    if (!JSON.stringify(run.document).includes(id)) throw new Failure(`verify does not name the volume ${id}`);
    this.#report.step("verify", `says so: ${meaning} (exit ${status})`);
  }

  #lose(): void {
    renameSync(this.#tree, this.#reference);
    renameSync(this.#at("etc"), this.#at("lost-etc"));
    this.#report.step("lose", "the tree, the configuration, the keys and the state; left are the regions and the kit");
  }

  async #restore(): Promise<void> {
    const run = await this.#program.run("restore", "--kit", this.#kit, "--to", this.#at("restored"));
    const lost = listIn(run, "lost");
    if (lost.length > 0) throw new Failure(`${lost.length} files could not be restored from any region (exit ${run.status}):\n${lost.slice(0, SHOWN_MAX).join("\n")}`);
    const above = this.#ownersAbove(run);
    expectStatus(run, "restore", ...(above.length === 0 ? [0] : [3]));
    if (listIn(run, "damaged").length === 0) throw new Failure("restore did not say that it took anything from the other region");
    this.#report.step("restore", `${count(numberIn(run, "entries"))} entries, ${formatSize(numberIn(run, "bytes"))}; what was bad in north was taken from south`, above);
  }

  /** Who is not root cannot give back the owners of the folders above the tree, like /tmp; that alone is no failure here. */
  #ownersAbove(run: Run): string[] {
    const notKept: unknown = run.document?.["notKept"];
    return (Array.isArray(notKept) ? notKept : []).flatMap((loss: { what: string; count: number; examples: string[] }) => {
      const isAbove = loss.count === loss.examples.length && loss.examples.every((path) => this.#tree.startsWith(`${path}/`));
      return isAbove && process.getuid?.() !== 0 ? [`this user cannot give back the ${loss.what} of ${loss.examples.join(" and ")}`] : [];
    });
  }

  async #compare(): Promise<{ entries: number; bytes: number }> {
    const restored = join(this.#at("restored"), this.#tree);
    const { entries, bytes, differences } = await compareTrees(this.#reference, restored, this.#signal);
    if (differences.length > 0) throw new Failure(`${differences.length} differences:\n${differences.slice(0, SHOWN_MAX).join("\n")}`);
    this.#report.step("compare", `${count(entries)} entries, ${formatSize(bytes)}: every byte, mode, owner, time and link is the same`);
    const args = ["-aHnci", "--delete", "--modify-window=-1", `${this.#reference}/`, `${restored}/`];
    const rsync = spawnSync("rsync", args, { encoding: "utf8", maxBuffer: 1 << 28 });
    if (rsync.error !== undefined) return { entries, bytes };
    if (rsync.status !== 0 || rsync.stdout !== "") throw new Failure(`rsync sees differences:\n${rsync.stdout}${rsync.stderr}`.slice(0, 2000));
    this.#report.step("compare", "rsync --checksum sees no difference either");
    return { entries, bytes };
  }

  /** The proof that all of this can fail: with the same byte flipped in the other region too, nobody may call it whole. */
  async #counterTest(volume: string): Promise<void> {
    flipByte(join(this.#at("regions/south"), volume));
    this.#report.step("damage", "the same byte flipped in south too");
    renameSync(this.#at("lost-etc"), this.#at("etc"));
    await this.#verify(volume, 1, "lost, in every region");
    const run = await this.#program.run("restore", "--kit", this.#kit, "--to", this.#at("restored again"));
    expectStatus(run, "restore from two damaged regions", 1, 3);
    const lost = listIn(run, "lost");
    if (!lost.some((path) => path.startsWith(this.#tree))) throw new Failure("restore does not name what is lost");
    this.#report.step("restore", `does not call it whole, and names what is lost: ${count(lost.length)} files (exit ${run.status})`);
  }
}

try {
  const options = readOptions();
  await inWorkspace((folder, signal) => new Demo(options, folder, signal).run());
} catch (error) {
  const text = error instanceof Stopped ? "stopped" : error instanceof Failure ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`\ndemo failed: ${text}\n`);
  process.exitCode = error instanceof Stopped ? error.status : 1;
}
