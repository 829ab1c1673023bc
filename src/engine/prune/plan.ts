/** What a prune is to do with a host, as a plain value: what is shown is what is done. */
import { objectKey, parseObjectKey } from "../../format/object-key.ts";
import { holdReason, isExpired } from "../../policy/fates.ts";
import { GRACE_MS, UNLISTED_MS } from "../../policy/grace.ts";
import { newestFirst } from "../../policy/latest.ts";
import { judgeRevoked } from "../../policy/revocation.ts";
import { judgeArchives, type RetentionRule } from "../../policy/retention.ts";
import { paidUntilMs } from "../../policy/storage-class.ts";
import type { StoredObject } from "../../storage/object-store.ts";
import type { HostView, Obstacle, RegionView, ViewedManifest } from "./view.ts";

export type ArchiveVerdict = { archive: string; finishedAt: string; status: string; verdict: "keep" | "expire" | "expired" | "void"; reason: string; ageMs: number };

/** A record that is to be written. */
export type PlannedExpiry = { archive: string; manifest: string; previous: { id: string; sha256: string } | null; reason: string };

/** Objects of a storage class with a minimum duration: until the last of them is paid for, ms since 1970. */
export type PaidClass = { storageClass: string; objects: number; bytes: number; untilMs: number };

export type PlannedRegion = {
  region: string;
  /** Keys of manifests of expired archives and of checkpoints whose run was followed by an archive. */
  manifests: string[];
  /** Objects that nothing needs and whose time is over. */
  objects: { key: string; sizeBytes: number }[];
  /** Those of them that a store charges for until their class's minimum is over, as if they stayed. */
  paidOn: PaidClass[];
  /** Archives whose manifests get a copy aside, from which on their objects are kept a while longer. */
  newCopies: string[];
  /** Keys of such copies whose time is over. */
  oldCopies: string[];
  /** What goes later, unless something needs it by then: until the last of it may go, ms since 1970. */
  waiting: { objects: number; bytes: number; untilMs: number | null };
};

/** A volume or catalog object, and how many archives still need it. */
export type ObjectUse = { key: string; sizeBytes: number; archives: number; isInNewest: boolean };

export type PrunePlan = {
  host: string;
  retired: boolean;
  /** Newest first. */
  verdicts: ArchiveVerdict[];
  expire: PlannedExpiry[];
  /** Archives whose manifests go, now or since an earlier call. */
  remove: string[];
  regions: PlannedRegion[];
  /** The least needed first. */
  use: ObjectUse[];
  /** While there is one, nothing is done. */
  obstacles: Obstacle[];
};

export function planHost(view: HostView, rule: RetentionRule, copies: number): PrunePlan {
  const all = newestFirst([...view.manifests.values()].filter(({ kind }) => kind === "archive"));
  // What a thief signed takes nobody's place, and goes only by hand: the owner may find that it was good.
  const { valid: archives, void: voided } = judgeRevoked(all, view.records.map(({ record }) => record));
  const { expired = [], living = [] } = Object.groupBy(archives, (archive) => (isExpired(view.fates, archive) ? "expired" : "living"));
  const verdicts = judge(view, living, rule, copies);
  const doomed = living.filter(({ header }) => verdicts.some(({ archive, verdict }) => archive === header.id && verdict === "expire"));
  const kept = [...living.filter((archive) => !doomed.includes(archive)), ...voided];
  const removed = [...expired, ...doomed];
  const stale = staleCheckpoints(view, archives);
  const regions = view.regions.map((region) => planRegion(view, region, { kept, removed, stale }));
  return {
    host: view.host,
    retired: view.records.some(({ record }) => record.kind === "retire"),
    verdicts: [...verdicts, ...expired.map((archive) => expiredVerdict(view, archive)), ...voided.map((archive) => voidVerdict(view, archive))].toSorted((a, b) => (a.archive < b.archive ? 1 : -1)),
    expire: doomed.map(({ header, sha256 }) => ({ archive: header.id, manifest: sha256, previous: header.previous, reason: verdicts.find(({ archive }) => archive === header.id)?.reason ?? "" })),
    remove: removed.map(({ header }) => header.id),
    regions,
    use: useOf(view, kept),
    obstacles: view.obstacles,
  };
}

function judge(view: HostView, living: readonly ViewedManifest[], rule: RetentionRule, copies: number): ArchiveVerdict[] {
  const candidates = living.map(({ header, regions }) => ({
    id: header.id,
    signedMs: Date.parse(header.finishedAt),
    storedMs: storedMs(view, objectKey(view.host, "archive", header.id)),
    status: header.status,
    regions: regions.length,
    held: holdReason(view.fates, header.id),
  }));
  const headers = new Map(living.map(({ header }) => [header.id, header]));
  return judgeArchives(candidates, rule, view.nowMs, copies).map(({ id, keep, reason, ageMs }) => {
    const { finishedAt = "", status = "" } = headers.get(id) ?? {};
    return { archive: id, finishedAt, status, verdict: keep ? "keep" : "expire", reason, ageMs };
  });
}

/** When the first of the regions had it. */
function storedMs({ regions }: HostView, key: string): number {
  return Math.min(...regions.flatMap(({ stored }) => stored.get(key)?.modifiedMs ?? []));
}

function expiredVerdict(view: HostView, { header, sha256 }: ViewedManifest): ArchiveVerdict {
  const { at = "", reason = "" } = view.fates.expired.get(sha256) ?? {};
  return { archive: header.id, finishedAt: header.finishedAt, status: header.status, verdict: "expired", reason: `since ${at}: ${reason}`, ageMs: view.nowMs - Date.parse(header.finishedAt) };
}

function voidVerdict(view: HostView, { header }: ViewedManifest): ArchiveVerdict {
  return { archive: header.id, finishedAt: header.finishedAt, status: header.status, verdict: "void", reason: "signed by a revoked signer after its last good archive; left alone", ageMs: view.nowMs - Date.parse(header.finishedAt) };
}

/** Checkpoints of runs that an archive followed long ago: what they keep, that archive lists, or nobody wants. */
function staleCheckpoints(view: HostView, archives: readonly ViewedManifest[]): ViewedManifest[] {
  const newest = archives[0]?.header.sequence ?? 0;
  return [...view.manifests.values()].filter(
    ({ kind, header }) => kind === "checkpoint" && header.sequence < newest && view.regions.every(({ stored, nowMs }) => nowMs - (stored.get(objectKey(view.host, "checkpoint", header.id))?.modifiedMs ?? 0) > GRACE_MS),
  );
}

type Fate = { kept: readonly ViewedManifest[]; removed: readonly ViewedManifest[]; stale: readonly ViewedManifest[] };

function planRegion(view: HostView, { region, stored, nowMs }: RegionView, { kept, removed, stale }: Fate): PlannedRegion {
  const keyOf = ({ kind, header }: ViewedManifest): string => objectKey(view.host, kind, header.id);
  const manifests = [...removed, ...stale].map(keyOf).filter((key) => stored.has(key));
  const all = [...view.manifests.values()];
  // While a manifest lies there, so does what it lists: a reader without records would take it for an archive.
  const present = removed.filter((manifest) => stored.has(keyOf(manifest)) || !isSetAside(view, stored, manifest.header.id));
  const staying = [...kept, ...all.filter((manifest) => manifest.kind === "checkpoint")];
  const needed = new Set(staying.flatMap(({ objects }) => objects));
  const leaving = new Set(present.flatMap(({ objects }) => objects));
  const copies = all.filter((manifest) => manifest.kind === "expired" && stored.has(keyOf(manifest)));
  const freeAtMs = timesOfCopies(copies, (copy) => stored.get(keyOf(copy))?.modifiedMs ?? nowMs);
  const objects: StoredObject[] = [];
  const waiting: PlannedRegion["waiting"] = { objects: 0, bytes: 0, untilMs: null };
  for (const object of stored.values()) {
    const { key, sizeBytes, modifiedMs } = object;
    const kind = parseObjectKey(key)?.kind;
    if ((kind !== "volume" && kind !== "catalog") || needed.has(key)) continue;
    const atMs = leaving.has(key) ? nowMs + GRACE_MS : (freeAtMs.get(key) ?? modifiedMs + UNLISTED_MS);
    if (nowMs >= atMs) objects.push(object);
    else {
      waiting.objects++;
      waiting.bytes += sizeBytes;
      waiting.untilMs = Math.max(waiting.untilMs ?? 0, atMs);
    }
  }
  const newCopies = removed.map(({ header }) => header.id).filter((id) => !isSetAside(view, stored, id));
  const isOver = (copy: ViewedManifest): boolean => !stored.has(objectKey(view.host, "archive", copy.header.id)) && nowMs >= (stored.get(keyOf(copy))?.modifiedMs ?? nowMs) + GRACE_MS;
  return { region: region.name, manifests, objects: objects.map(({ key, sizeBytes }) => ({ key, sizeBytes })), paidOn: paidOn(objects, nowMs), newCopies, oldCopies: copies.filter(isOver).map(keyOf), waiting };
}

/** What is paid for although it goes, by class. */
function paidOn(objects: readonly StoredObject[], nowMs: number): PaidClass[] {
  const classes = new Map<string, PaidClass>();
  for (const { storageClass = "", sizeBytes, modifiedMs } of objects) {
    const untilMs = paidUntilMs(storageClass, modifiedMs) ?? 0;
    if (untilMs <= nowMs) continue;
    const before = classes.get(storageClass) ?? { objects: 0, bytes: 0, untilMs: 0 };
    classes.set(storageClass, { storageClass, objects: before.objects + 1, bytes: before.bytes + sizeBytes, untilMs: Math.max(before.untilMs, untilMs) });
  }
  return [...classes.values()];
}

/** Whether a region holds the copy of an archive's manifest, made since a hold of it was last released: until then new archives may build on it. */
function isSetAside({ host, records }: HostView, stored: RegionView["stored"], archive: string): boolean {
  const sinceMs = stored.get(objectKey(host, "expired", archive))?.modifiedMs;
  if (sinceMs === undefined) return false;
  const releases = records.flatMap(({ record: { kind, record } }) => (kind === "release" && record.archive === archive ? [record.id] : []));
  return releases.every((id) => (stored.get(objectKey(host, "record", id))?.modifiedMs ?? Number.POSITIVE_INFINITY) <= sinceMs);
}

/** From when on the objects that copies list may go, by key: the youngest copy decides. */
function timesOfCopies(copies: readonly ViewedManifest[], sinceMs: (copy: ViewedManifest) => number): Map<string, number> {
  const freeAtMs = new Map<string, number>();
  for (const copy of copies) {
    const atMs = sinceMs(copy) + GRACE_MS;
    for (const key of copy.objects) freeAtMs.set(key, Math.max(freeAtMs.get(key) ?? 0, atMs));
  }
  return freeAtMs;
}

/** How many of the archives that stay need each object. */
function useOf(view: HostView, kept: readonly ViewedManifest[]): ObjectUse[] {
  const count = new Map<string, number>();
  for (const { objects } of kept) for (const key of objects) count.set(key, (count.get(key) ?? 0) + 1);
  const newest = new Set(kept[0]?.objects ?? []);
  return [...count].map(([key, archives]) => ({ key, sizeBytes: view.sizes.get(key) ?? 0, archives, isInNewest: newest.has(key) })).toSorted((a, b) => a.archives - b.archives || (a.key < b.key ? -1 : 1));
}
