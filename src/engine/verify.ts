/** Whether archives are whole in every region: present, right byte for byte, or right down to the content of every file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomInt } from "node:crypto";
import { formatSize } from "../units.ts";
import type { Emit } from "./events.ts";
import { eachOf } from "./manifests.ts";
import type { OpenVault } from "./open-vault.ts";
import { scanCatalogs } from "./verify/catalogs.ts";
import type { Checkers } from "./verify/checker-pool.ts";
import { checkLocks } from "./verify/lock-check.ts";
import { describeLost, findDoubtful, uncertainProblems, type Doubtful } from "./verify/lost.ts";
import { pieceListPath } from "./verify/piece-list.ts";
import { checkPresence, RegionCheck, withCheckers, type CheckGround, type ContentResult, type ObjectTask } from "./region-check.ts";
import { objectName, RegionTally } from "./region-tally.ts";
import { verifyStatus, type VerifyLevel, type VerifyReport } from "./verify/report.ts";
import { checkManifest, chooseTargets, gatherTargets, Targets, type NeededObject } from "./targets.ts";

export type VerifyOrder = {
  vault: OpenVault;
  archive: string | undefined;
  all: boolean;
  level: VerifyLevel;
  /** Percentage of the objects, chosen at random; all without it. */
  sample: number | undefined;
  /** Opens the vault with the regions that were left out: asked only about what the others do not hold right. */
  others: (() => Promise<OpenVault>) | null;
  emit: Emit;
  signal: AbortSignal;
};

/** A random part of the objects, at least one. */
function sampleOf(objects: readonly NeededObject[], percent: number | undefined): NeededObject[] {
  if (percent === undefined) return [...objects];
  const left = [...objects];
  const count = Math.min(left.length, Math.max(1, Math.round((left.length * percent) / 100)));
  return Array.from({ length: count }, () => left.splice(randomInt(left.length), 1)).flat();
}

class Verification {
  readonly #order: VerifyOrder;
  readonly #host: string;
  readonly #tallies: RegionTally[];
  #targets = new Targets();
  #checked: NeededObject[] = [];
  #contents: ContentResult[] = [];

  constructor(order: VerifyOrder) {
    const { vault } = order;
    this.#order = order;
    this.#host = vault.host();
    this.#tallies = vault.regions.map((region) => new RegionTally(region, this.#host));
    for (const tally of this.#tallies) if (!vault.reachable.includes(tally.region)) tally.noteUnreachable("it does not answer, or does not hold this vault");
  }

  async run(): Promise<VerifyReport> {
    const startedAtMs = Date.now();
    const { vault, signal, level, sample } = this.#order;
    const survey = await vault.survey(this.#host);
    const choice = chooseTargets(vault, survey, this.#order);
    this.#targets = await gatherTargets(choice, this.#tallies, vault.trust, this.#host, signal);
    for (const tally of this.#tallies) tally.expectOnly((name) => this.#isExpected(tally, name));
    this.#checked = sampleOf([...this.#targets.objects.values()], sample);
    const objects = this.#checked.map(({ object }) => object);
    if (level === "presence") await Promise.all(this.#tallies.map((tally) => checkPresence(tally, objects, this.#host, signal)));
    else await this.#withPool((pool) => this.#checkBytes(pool));
    // Older archives may outlive their locks; what the newest needs is renewed by every run.
    const ofNewest = this.#checked.flatMap(({ object, archives }) => (archives.includes(0) ? [object] : []));
    await Promise.all(this.#tallies.map(async (tally) => tally.noteLocks(await checkLocks(tally, ofNewest, this.#host, signal))));
    return this.#report(startedAtMs);
  }

  #isExpected(tally: RegionTally, name: string): boolean {
    const needed = this.#targets.objects.get(name);
    return needed === undefined || needed.archives.some((index) => tally.isRight(this.#targets.archives[index]?.report.id ?? ""));
  }

  #withPool<T>(use: (pool: Checkers) => Promise<T>): Promise<T> {
    const bytes = this.#checked.reduce((sum, { object }) => sum + object.sizeBytes, 0) * this.#tallies.length;
    return withCheckers(this.#order.level === "content" ? this.#order.vault.identities : [], bytes, use);
  }

  #ground(pool: Checkers): CheckGround {
    const regionBytes = this.#checked.reduce((sum, { object }) => sum + object.sizeBytes, 0);
    const onProgress = (): void => {
      const tallies = this.#tallies.filter(({ reason }) => reason === undefined);
      const bytes = tallies.reduce((sum, tally) => sum + tally.bytesChecked, 0);
      const total = regionBytes * tallies.length;
      const more = tallies.map((tally) => `${tally.region.name} ${tally.objectsChecked} of ${this.#checked.length} objects`).join(", ");
      this.#order.emit({ kind: "progress", text: `${formatSize(bytes)} of ${formatSize(total)} checked`, work: { done: bytes, total, bytes }, more });
    };
    return { host: this.#host, pool, regions: this.#tallies.length, signal: this.#order.signal, onProgress };
  }

  async #checkBytes(pool: Checkers): Promise<void> {
    const ground = this.#ground(pool);
    const checks = this.#tallies.filter(({ reason }) => reason === undefined).map((tally) => new RegionCheck(tally, ground));
    if (this.#order.level === "checksum") {
      const tasks = this.#checked.map(({ object }): ObjectTask => ({ object, pieces: null }));
      await Promise.all(checks.map((check) => check.run(tasks)));
      return;
    }
    const listDir = mkdtempSync(join(tmpdir(), "coldkeep-verify-"));
    try {
      await this.#checkContent(checks, listDir);
    } finally {
      rmSync(listDir, { recursive: true, force: true });
    }
  }

  /** Every volume is decrypted once, in turn from one region and the next; what is not right there, from another that has it right. */
  async #checkContent(checks: readonly RegionCheck[], listDir: string): Promise<void> {
    const { vault, signal, sample, emit } = this.#order;
    const volumes = this.#checked.flatMap(({ object }) => (object.kind === "volume" ? [object] : []));
    emit({ kind: "progress", text: "reading the catalogs" });
    await scanCatalogs(vault, this.#targets, { listDir, volumes: sample === undefined ? null : volumes.map(({ id }) => id), signal });
    const reader = new Map(volumes.map((object, i) => [object, checks[i % checks.length]]));
    const tasksOf = (check: RegionCheck): ObjectTask[] =>
      this.#checked.map(({ object }) => ({ object, pieces: reader.get(object) === check ? pieceListPath(listDir, object.id) : null }));
    this.#contents = (await Promise.all(checks.map((check) => check.run(tasksOf(check))))).flat();
    const done = new Set(this.#contents.map(({ object }) => object));
    await eachOf(volumes.filter((object) => !done.has(object)), checks.length, async (object) => {
      for (const check of checks) {
        if (!check.tally.isRight(objectName(object))) continue;
        const results = await check.run([{ object, pieces: pieceListPath(listDir, object.id) }]);
        this.#contents.push(...results);
        if (results.length > 0) return;
      }
    });
  }

  /** Asks regions that were left out about what is right in none of the others. Returns their tallies. */
  async #askOthers(doubtful: Doubtful): Promise<RegionTally[]> {
    const { others, vault, signal, level } = this.#order;
    if (others === null || doubtful.objects.length + doubtful.manifests.length === 0) return [];
    using whole = await others();
    const known = new Set(vault.regions.map(({ name }) => name));
    const tallies = whole.regions.filter(({ name }) => !known.has(name)).map((region) => new RegionTally(region, this.#host));
    for (const tally of tallies) if (!whole.reachable.includes(tally.region)) tally.noteUnreachable("it does not answer");
    for (const id of doubtful.manifests) {
      for (const tally of tallies) await checkManifest(tally, { host: this.#host, id, sha256: null }, vault.trust, signal);
    }
    const objects = doubtful.objects.map(({ object }) => object);
    if (level === "presence") await Promise.all(tallies.map((tally) => checkPresence(tally, objects, this.#host, signal)));
    else {
      const tasks = objects.map((object): ObjectTask => ({ object, pieces: null }));
      await this.#withPool((pool) => Promise.all(tallies.map((tally) => new RegionCheck(tally, this.#ground(pool)).run(tasks))));
    }
    return tallies;
  }

  async #report(startedAtMs: number): Promise<VerifyReport> {
    const { level, vault, emit } = this.#order;
    const targets = this.#targets;
    const others = await this.#askOthers(findDoubtful(targets, this.#checked, this.#tallies));
    const tallies = [...this.#tallies, ...others];
    const doubtful = findDoubtful(targets, this.#checked, tallies);
    const isSure = tallies.every(({ reason }) => reason === undefined);
    const faulty = this.#contents.filter(({ faults }) => faults.some(({ isLocked }) => isLocked !== true));
    const locked = this.#contents.filter(({ faults }) => faults.some(({ isLocked }) => isLocked === true));
    const report = {
      level,
      archives: targets.archives.map((archive) => archive.report),
      regions: Object.fromEntries(this.#tallies.map((tally) => [tally.region.name, tally.report()])),
      lost: await describeLost(isSure ? doubtful : { objects: [], manifests: [] }, faulty, { targets, tallies, vault, emit }),
      uncertain: isSure ? [] : uncertainProblems(doubtful, this.#host, tallies),
      locked: locked.map(({ object }) => object.id),
      repairableFrom: this.#healthy(tallies),
      durationMs: Date.now() - startedAtMs,
    };
    return { ...report, exitStatus: verifyStatus(report) };
  }

  /** Regions that hold right everything that is wrong in another. */
  #healthy(tallies: readonly RegionTally[]): string[] {
    const wrong = this.#tallies.flatMap(({ problems }) => problems);
    if (wrong.length === 0) return [];
    const bad = new Set(wrong.map(({ object }) => object));
    const names = [...this.#checked.filter(({ object }) => bad.has(object.id)).map(({ object }) => objectName(object)), ...wrong.filter(({ kind }) => kind === "manifest").map(({ object }) => object)];
    return tallies.filter((tally) => names.every((name) => tally.isRight(name))).map(({ region }) => region.name);
  }
}

/**
 * Checks the archives asked for in every region of the vault by itself. Damage is reported, not thrown.
 * Throws E_NOT_FOUND, E_SIGNER, E_IDENTITY when `content` is asked for without an identity, E_INTERRUPTED.
 */
export async function verifyArchives(order: VerifyOrder): Promise<VerifyReport> {
  return new Verification(order).run();
}
