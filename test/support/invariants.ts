/**
 * What must hold after any fault, whatever the program was doing: the seven invariants of docs/reliability.md. Stored
 * bytes are read here without any code of the program, so that a defect of its readers cannot hide one of its writers.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { FakeBucket } from "./fake-s3.ts";
import type { ProgramResult } from "./program.ts";

/** What one region holds, by key. */
export type RegionContent = ReadonlyMap<string, Buffer>;
export type Regions = Readonly<Record<string, RegionContent>>;

export type Observed = {
  regions: Regions;
  /** A description of everything the program must not touch. */
  outside: string;
};

/** An invariant that does not hold. */
export class Violation extends Error {
  static {
    this.prototype.name = "Violation";
  }
}

export function violate(invariant: string, what: string): never {
  throw new Violation(`${invariant}: ${what}`);
}

/** A directory region; what unfinished puts left under their own names is none of its objects. */
export function contentOfDirectory(path: string): RegionContent {
  const names = readdirSync(path, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && !entry.name.startsWith(".coldkeep-")).map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.toSorted().map((file) => [file.slice(path.length + 1), readFileSync(file)]));
}

export function contentOfBucket(bucket: FakeBucket): RegionContent {
  return new Map(bucket.keys().map((key) => [key, Buffer.from(bucket.get(key) ?? "")]));
}

const MANIFEST = /^hosts\/([^/]+)\/archives\/([^/]+)\.manifest$/;
const FOLDERS: Record<string, [folder: string, ending: string]> = { volume: ["volumes", "tar.zst.age"], catalog: ["catalogs", "ndjson.zst.age"] };

type Listed = { id: string; kind: string; size: number; sha256: string };

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The objects a manifest lists, or null where its bytes are not what its own header says. */
export function listedIn(manifest: Buffer): { key: (host: string) => string; listed: Listed }[] | null {
  const first = manifest.indexOf(10);
  const second = manifest.indexOf(10, first + 1);
  if (first < 0 || second < 0) return null;
  const list = manifest.subarray(second + 1);
  try {
    const header = JSON.parse(manifest.toString("utf8", 0, first)) as { objects: { count: number; size: number; sha256: string } };
    if (list.length !== header.objects.size || sha256(list) !== header.objects.sha256) return null;
    const lines = list.toString().split("\n").slice(0, -1);
    return lines.map((line) => {
      const listed = JSON.parse(line) as Listed;
      const [folder, ending] = FOLDERS[listed.kind] ?? ["", ""];
      return { key: (host) => `hosts/${host}/${folder}/${listed.id}.${ending}`, listed };
    });
  } catch {
    return null;
  }
}

/** Archive → what is missing of it in this region; nothing where it is whole. */
export function archivesIn(region: RegionContent): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [key, bytes] of region) {
    const [, host = "", id = ""] = MANIFEST.exec(key) ?? [];
    if (host === "") continue;
    const listed = listedIn(bytes);
    const faults = listed === null ? ["its manifest is damaged"] : listed.flatMap((each) => objectFault(region, each.key(host), each.listed) ?? []);
    found.set(id, faults);
  }
  return found;
}

function objectFault(region: RegionContent, key: string, { size, sha256: digest }: Listed): string | undefined {
  const bytes = region.get(key);
  if (bytes === undefined) return `${key} is missing`;
  return bytes.length === size && sha256(bytes) === digest ? undefined : `${key} has other bytes than are listed`;
}

/** Archives a region holds whole. */
export function wholeIn(region: RegionContent | undefined): Set<string> {
  return new Set([...archivesIn(region ?? new Map())].flatMap(([id, faults]) => (faults.length === 0 ? [id] : [])));
}

export type Allowed = {
  /** Archives that this run is meant to end. */
  mayGo: ReadonlySet<string>;
  /** What no output may hold. */
  secrets: readonly string[];
  /** Objects that were bad before, as `region key`: a run that looks at sizes alone may build on them. */
  bad?: ReadonlySet<string>;
};

/** Checks what the run changed and said against the invariants. Throws a Violation. */
export function checkInvariants(before: Observed, after: Observed, run: ProgramResult, allowed: Allowed): void {
  for (const [name, now] of Object.entries(after.regions)) checkRegion(name, before.regions[name] ?? new Map(), now, allowed);
  if (after.outside !== before.outside) violate("I3 nothing outside the target is written", differenceOf(before.outside, after.outside));
  const output = run.stdout + run.stderr;
  if (allowed.secrets.some((secret) => output.includes(secret))) violate("I4 no secret in any output", "one was printed");
  checkWord(run);
}

function checkRegion(name: string, before: RegionContent, now: RegionContent, { mayGo, bad }: Allowed): void {
  const brokenBefore = archivesIn(before);
  for (const [id, faults] of archivesIn(now)) {
    const known = new Set(brokenBefore.get(id));
    const fresh = faults.filter((fault) => !known.has(fault) && bad?.has(`${name} ${fault.split(" ", 1)[0]}`) !== true);
    if (fresh.length > 0) violate("I1 a manifest names nothing that is missing", `region ${name}, archive ${id}: ${fresh.join("; ")}`);
  }
  const whole = wholeIn(now);
  for (const id of wholeIn(before)) if (!whole.has(id) && !mayGo.has(id)) violate("I2 no archive is lost", `region ${name} held archive ${id} whole`);
  for (const [key, bytes] of before) {
    if (isForeign(key) && now.get(key)?.equals(bytes) !== true) violate("I7 what is not ours stays", `region ${name}: ${key}`);
  }
}

/** Whatever is not where the format puts objects. */
function isForeign(key: string): boolean {
  return !/^(coldkeep\.json|RECOVERY\.md|recover\.sh|program\/[0-9a-f]{64}|hosts\/[^/]+\/(archives|checkpoints|expired|catalogs|volumes|records|programs)\/[0-9]{8}t[^/]+|hosts\/[^/]+\/probes\/[^/]+)$/.test(key);
}

/** A failure says what failed, and no failure is a defect. */
function checkWord({ status, signal, stdout, stderr }: ProgramResult): void {
  if (signal === "SIGKILL") return;
  if (status === null) violate("I5 every end is a word", `the program ended by ${signal}: ${stderr}`);
  if (![0, 1, 3, 5].includes(status)) violate("I5 every end is a word", `exit ${status}: ${stderr}`);
  if (/E_INTERNAL|^\s+at .*\.(?:ts|js):\d+/m.test(stdout + stderr)) violate("I5 every end is a word", `a defect: ${stderr}${stdout}`);
  if (status === 0 || /^coldkeep: (?:error|warning): \S/m.test(stderr) || /"status":"partial"/.test(stdout)) return;
  violate("I5 every end is a word", `exit ${status} and nothing said: ${stdout}`);
}

function differenceOf(before: string, after: string): string {
  const known = new Set(before.split("\n"));
  const now = new Set(after.split("\n"));
  return [...known].filter((line) => !now.has(line)).map((line) => `- ${line}`).concat([...now].filter((line) => !known.has(line)).map((line) => `+ ${line}`)).slice(0, 6).join("\n");
}
