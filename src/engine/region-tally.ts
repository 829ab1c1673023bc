/** What was found in one region so far. */
import type { ListedObject } from "../format/manifest.ts";
import { objectKey } from "../format/object-key.ts";
import type { Region } from "./region.ts";
import type { LockReport } from "./verify/lock-check.ts";
import type { RegionProblem, RegionReport } from "./verify/report.ts";

/** Tells objects apart, also if two manifests gave one id to different bytes. */
export function objectName(object: ListedObject): string {
  return `${object.id} ${object.sha256}`;
}

const HIDDEN = "hidden by something newer; an older version is right";

export class RegionTally {
  readonly region: Region;
  readonly problems: RegionProblem[] = [];
  readonly #host: string;
  readonly #right = new Set<string>();
  readonly #wrong = new Map<string, string>();
  /** What is right, but in a version that something newer hides. */
  readonly #hidden = new Set<string>();
  readonly #missingManifests = new Set<string>();
  #objects = 0;
  #bytes = 0;
  /** Whether an archive whose manifest is here needs an object: without one the region is only behind. */
  #isExpected: (name: string) => boolean = () => true;
  #frozen = 0;
  #locks: LockReport | null = null;
  #isDamaged = false;
  #isBehind = false;
  #reason: string | undefined;

  constructor(region: Region, host: string) {
    this.region = region;
    this.#host = host;
  }

  /** Why nothing more is asked of it. */
  get reason(): string | undefined {
    return this.#reason;
  }

  get objectsChecked(): number {
    return this.#objects;
  }

  get bytesChecked(): number {
    return this.#bytes;
  }

  isRight(name: string): boolean {
    return this.#right.has(name);
  }

  /** Whether it can be read here, if only as an older version. */
  holds(name: string): boolean {
    return this.#right.has(name) || this.#hidden.has(name);
  }

  /** What is wrong with an object here. */
  fault(name: string): string | undefined {
    return this.#wrong.get(name);
  }

  /** `bytes`: how many of it were read. */
  noteRight(object: ListedObject, bytes: number): void {
    const name = objectName(object);
    if (!this.#right.has(name)) this.#objects++;
    this.#right.add(name);
    this.#bytes += bytes;
  }

  /** It is there, and its bytes cannot be read before it was thawed: as much is known of it as of one whose presence was looked up. */
  noteFrozen(object: ListedObject): void {
    if (!this.#right.has(objectName(object))) this.#frozen++;
    this.noteRight(object, 0);
  }

  noteLocks(locks: LockReport | null): void {
    this.#locks = locks;
  }

  noteWrong(object: ListedObject, what: string, bytes: number): void {
    this.#isDamaged = true;
    this.#bytes += bytes;
    this.#note(object, what);
  }

  noteMissing(object: ListedObject): void {
    if (this.#isExpected(objectName(object))) this.#isDamaged = true;
    else this.#isBehind = true;
    this.#note(object, "missing");
  }

  /** Whoever knows of versions can read it, `recover.sh` and other tools cannot. */
  noteHidden(object: ListedObject, bytes: number): void {
    this.#hidden.add(objectName(object));
    this.noteWrong(object, HIDDEN, bytes);
  }

  expectOnly(isExpected: (name: string) => boolean): void {
    this.#isExpected = isExpected;
  }

  #note(object: ListedObject, what: string): void {
    this.#objects++;
    this.#wrong.set(objectName(object), what);
    this.problems.push({ object: object.id, kind: object.kind, key: objectKey(this.#host, object.kind, object.id), what });
  }

  noteManifest(id: string, what: string, isMissing: boolean): void {
    this.#wrong.set(id, what);
    if (isMissing) this.#missingManifests.add(id);
    if (isMissing) this.#isBehind = true;
    else this.#isDamaged = true;
    this.problems.push({ object: id, kind: "manifest", key: objectKey(this.#host, "archive", id), what });
  }

  /** Whether nothing lies under a manifest's key. */
  isMissingManifest(id: string): boolean {
    return this.#missingManifests.has(id);
  }

  noteRightManifest(id: string): void {
    this.#right.add(id);
  }

  noteHiddenManifest(id: string): void {
    this.#hidden.add(id);
    this.noteManifest(id, HIDDEN, false);
  }

  noteUnreachable(reason: string): void {
    this.#reason ??= reason;
  }

  report(): RegionReport {
    const state = this.#reason !== undefined ? "unreachable" : this.#isDamaged ? "damaged" : this.#isBehind ? "behind" : "sound";
    const problems = this.problems.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    return { state, objectsChecked: this.objectsChecked, bytesChecked: this.#bytes, problems, frozen: this.#frozen, locks: this.#locks, ...(this.#reason !== undefined && { reason: this.#reason }) };
  }
}
