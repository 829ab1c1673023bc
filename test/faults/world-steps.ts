/** What may happen to a host and its regions, each with what must be true afterwards. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BackupDocument } from "../support/host.ts";
import { violate } from "../support/invariants.ts";
import type { PruneDocument } from "../support/life.ts";
import type { RestoreDocument } from "../support/restore.ts";
import { removeTree } from "../support/temp-dir.ts";
import { HOUR, NAMES, type World } from "./world.ts";

export const STEPS = ["backup", "backup again", "repair", "prune", "verify", "restore the latest", "restore one", "damage", "away", "back", "clock", "save", "lose state", "old state", "old regions", "clone"] as const;
export type StepKind = (typeof STEPS)[number];

/** `x` and `y` choose among what there is. */
export type Step = { kind: StepKind; x: number; y: number };

export async function take(world: World, { kind, x, y }: Step): Promise<void> {
  switch (kind) {
    case "backup":
    case "backup again":
      world.changeSource(x);
      world.moveClock((1 + (y % 30)) * HOUR);
      return backup(world);
    case "repair":
      return repair(world);
    case "prune":
      return prune(world);
    case "verify":
      return verify(world, x % 2 === 0 ? "checksum" : "presence");
    case "restore the latest":
      return restore(world, undefined);
    case "restore one":
      return restore(world, world.living[x % Math.max(1, world.living.length)]?.id);
    case "damage":
      return damage(world, x, y);
    case "away":
      return void (world.present.length > 1 && world.takeAway(world.present[x % world.present.length] ?? ""));
    case "back":
      return void ([...world.away].length > 0 && world.bringBack([...world.away][x % world.away.size] ?? ""));
    case "clock":
      return world.moveClock((x % 8 === 0 ? -(y % 20) : y % 120) * HOUR);
    case "save":
      return void world.save();
    case "lose state":
      return world.loseState();
    case "old state":
      return void (world.saves > 0 && world.rollBackState(x % world.saves));
    case "old regions": {
      const names = NAMES.filter((_, bit) => ((y % 7) + 1) & (1 << bit));
      return void (world.saves > 0 && world.rollBackRegions(x % world.saves, names));
    }
    case "clone":
      world.becomeOther();
      world.moveClock(HOUR);
      return backup(world);
  }
}

function isSound(world: World): boolean {
  return !world.isDirty && world.away.size === 0 && !world.wentBack;
}

/** A person who is refused and told the way out takes it. */
async function backup(world: World, ...more: string[]): Promise<void> {
  const { host } = world;
  const run = await world.run(["backup", "--json", "--config", host.config, "--accept-changes", ...more]);
  const { archive, regions, error } = run.json<BackupDocument>();
  if (error !== undefined) {
    if (error.code === "E_CLONE" && !more.includes("--take-over")) return backup(world, ...more, "--take-over");
    if (error.code === "E_REFUSED" && error.hint?.includes("--new-chain") === true && world.isDirty && !more.includes("--new-chain")) return backup(world, ...more, "--new-chain");
    if (isSound(world)) violate("I6 no manual step", `${error.code}: ${error.message}`);
    if (error.code !== "E_COPIES" && error.code !== "E_REGION" && error.code !== "E_REFUSED" && error.code !== "E_STORE") violate("I5 every end is a word", `${error.code}: ${error.message}`);
    return;
  }
  if (archive === null) violate("I5 every end is a word", `no archive: ${run.stdout}`);
  world.noteArchive(archive);
  const complete = Object.keys(regions).filter((name) => regions[name] === "complete");
  if (run.status === 0 && complete.length < NAMES.length) violate("I5 every end is a word", "exit 0 and a region is behind");
  if (isSound(world) && run.status !== 0) violate("I6 the next run needs no manual step", `exit ${run.status}: ${run.stderr}`);
  for (const name of complete) {
    const made = world.made.get(archive);
    if (made === undefined || !world.content(name).has(`hosts/web1/archives/${archive}.manifest`)) violate("I1 what is called complete is there", `archive ${archive} in ${name}`);
    if (!world.isDirty && !world.isWhole(made, name)) violate("I1 what is called complete is there", `archive ${archive} in ${name}`);
  }
}

async function repair(world: World): Promise<void> {
  const run = await world.run(["repair", "--json", "--kit", world.host.movedKit]);
  const { living } = world;
  if (run.status === 0) {
    for (const made of living) for (const name of world.present) if (!world.isWhole(made, name)) violate("I1 a repaired region is whole", `archive ${made.id} in ${name}`);
    if (world.away.size > 0) violate("I5 every end is a word", "exit 0 and a region is away");
  }
  const isWhole = living.every((made) => world.isRestorable(made));
  if (isWhole && world.away.size === 0 && !world.hasDamagedManifest && run.status !== 0) violate("I6 what is right somewhere is right everywhere after a repair", `exit ${run.status}: ${run.stderr}${run.stdout}`);
  // What is lost everywhere is recorded so by now, and the next backup does not build on it.
  if (world.away.size === 0 && (run.status === 0 || run.status === 3) && !world.hasDamagedManifest) world.isDirty = false;
}

async function prune(world: World): Promise<void> {
  const { living } = world;
  const all = new Set(world.made.keys());
  const args = ["prune", "--json", "--kit", world.host.movedKit, "--keep", "daily=2,keepMin=1"];
  const before = new Map(world.present.map((name) => [name, world.content(name)]));
  // Which of them it may end, its own plan says first; what it then does must be no more than that.
  const planned = (await world.run([...args, "--dry-run"])).json<PruneDocument>().hosts[0];
  const ends = new Set(planned?.archives.flatMap(({ archive, verdict }) => (verdict === "expire" ? [archive] : [])));
  const newest = living.findLast(({ status }) => status === "complete")?.id;
  if (newest !== undefined && ends.has(newest)) violate("I2 the newest archive is never pruned", newest);
  const run = await world.run(args, { mayGo: new Set([...ends, ...world.expired]) });
  const host = run.json<PruneDocument>().hosts[0];
  if (host?.done === null || host === undefined) {
    for (const [name, content] of before) if (content.size !== world.content(name).size) violate("I2 a prune that refuses deletes nothing", name);
    if (isSound(world) && all.size > 0) violate("I6 no manual step", `prune: ${run.stderr}`);
  } else if (world.away.size > 0) violate("I2 a prune deletes nothing while a region is away", run.stdout);
}

async function verify(world: World, level: "checksum" | "presence"): Promise<void> {
  const run = await world.run(["verify", "--json", "--all", "--level", level, "--kit", world.host.movedKit]);
  const { living } = world;
  if (living.length === 0) return;
  const isWhole = living.every((made) => NAMES.every((name) => !world.away.has(name) && world.isWhole(made, name)));
  if (run.status === 0 && !isWhole && level === "checksum") violate("I5 a region that is not whole is no success", `${run.stdout}`);
  if (run.status !== 0 && isWhole && !world.hasDamagedManifest && isSound(world)) violate("I5 what is whole is a success", `exit ${run.status}: ${run.stderr}`);
}

async function restore(world: World, id: string | undefined): Promise<void> {
  const out = join(world.host.dir, "out");
  removeTree(out);
  const { living, hasDamagedManifest } = world;
  const run = await world.run(["restore", "--json", "--kit", world.host.movedKit, "--to", out, ...(id === undefined ? [] : ["--archive", id])]);
  const { archive, error } = run.json<RestoreDocument>();
  const chosen = living.find((made) => made.id === (id ?? archive));
  if (error === undefined) {
    if (chosen === undefined) violate("I5 only what exists is restored", archive);
    const newest = living.findLast(({ status }) => status === "complete")?.id;
    if (id === undefined && !hasDamagedManifest && archive !== newest) violate("I2 the latest is the newest of all regions", `${archive} instead of ${newest}`);
    const isWhole = world.isRestorable(chosen);
    if (isWhole !== (run.status === 0)) violate("I5 what is lost is said, and nothing else is", `exit ${run.status}, ${isWhole ? "whole" : "not whole"}: ${run.stderr}${run.stdout}`);
    world.compareRestored(archive, out, isWhole);
  } else {
    if (run.status === 0) violate("I5 every end is a word", run.stdout);
    const isExpected = chosen === undefined ? living.every((made) => made.status !== "complete") || hasDamagedManifest : !world.isRestorable(chosen) || hasDamagedManifest;
    if (!isExpected) violate("I2 an archive that is right somewhere is restored", `${error.code}: ${error.message}`);
  }
  removeTree(out);
}

function damage(world: World, x: number, y: number): void {
  const name = world.present[x % world.present.length] ?? "";
  const keys = [...world.content(name).keys()].filter((key) => /\/(archives|volumes|catalogs)\//.test(key));
  const key = keys[y % Math.max(1, keys.length)];
  if (key === undefined) return;
  const path = join(world.path(name), key);
  const bytes = Buffer.from(world.content(name).get(key) ?? "");
  world.isDirty = true;
  if (x % 3 === 0) return rmSync(path);
  if (x % 3 === 1) return writeFileSync(path, bytes.subarray(0, bytes.length - 1 - (y % 100)));
  const at = (y * 7919) % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (x % 8));
  writeFileSync(path, bytes);
}
