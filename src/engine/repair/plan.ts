/** What a repair is going to do: a plain value, shown by a dry run and applied as it is. */
import type { ListedObject, ManifestHeader } from "../../format/manifest.ts";
import { objectKey, type ObjectKind } from "../../format/object-key.ts";
import type { SeenArchive } from "../../policy/latest.ts";
import { objectName, type RegionTally } from "../region-tally.ts";
import type { Targets } from "../targets.ts";
import type { RecordCopies } from "./record-copies.ts";

/** One object that is to be put into one region. */
type Copy = {
  /** Null for what belongs to the vault, not to a host. */
  host: string | null;
  key: string;
  region: string;
  /** What is wrong with it there. */
  why: string;
  /** Regions that hold it right, if only as an older version. */
  from: string[];
  bytes: number;
};
export type ObjectCopy = Copy & { kind: ObjectKind; host: string; object: ListedObject };
/** `isMissing`: nothing lies under its key, so that it is put only where everything it lists is. */
export type ManifestCopy = Copy & { kind: ManifestHeader["type"]; host: string; seen: SeenArchive; isMissing: boolean };
/** Small enough to be in the plan. */
export type SmallCopy = Copy & { kind: "record" | "marker" | "text"; content: Buffer };
export type PlannedCopy = ObjectCopy | ManifestCopy | SmallCopy;

/** Right in no region. `isSure`: every configured region has said so. `isRecorded`: a record says so already. */
export type LostItem = { host: string; kind: ObjectKind | "manifest"; object: string; archives: string[]; what: string; isSure: boolean; isRecorded: boolean };

/** A manifest that is not put into a region, as that region cannot be given all it lists. */
export type Withheld = { host: string; archive: string; region: string; what: string };

export type RepairPlan = { copies: PlannedCopy[]; lost: LostItem[]; withheld: Withheld[] };

/** What was found of one host. `wanted`: the regions that are to be repaired. */
export type Findings = {
  host: string;
  targets: Targets;
  tallies: readonly RegionTally[];
  wanted: readonly RegionTally[];
  records: readonly RecordCopies[];
  /** Whether every configured region answered to the end. */
  isSure: boolean;
};

function namesOf(tallies: readonly RegionTally[]): string[] {
  return tallies.map(({ region }) => region.name);
}

function faultsText(name: string, tallies: readonly RegionTally[]): string {
  return tallies.flatMap((tally) => (tally.fault(name) === undefined ? [] : [`region "${tally.region.name}": ${tally.fault(name)}`])).join("; ");
}

/** Objects first, then records, manifests last: the order in which it is applied. */
export function planHost(findings: Findings): RepairPlan {
  const plan: RepairPlan = { copies: [], lost: [], withheld: [] };
  planObjects(findings, plan);
  planRecords(findings, plan);
  planManifests(findings, plan);
  return plan;
}

function planObjects({ host, targets, tallies, wanted, records, isSure }: Findings, plan: RepairPlan): void {
  const recorded = new Set(records.flatMap(({ record: { kind, record } }) => (kind === "lost" ? record.objects : [])));
  for (const [name, { object, archives }] of targets.objects) {
    const bad = wanted.filter((tally) => tally.fault(name) !== undefined);
    if (bad.length === 0) continue;
    const { kind, id, sizeBytes: bytes } = object;
    const holders = tallies.filter((tally) => tally.holds(name));
    if (holders.length === 0) {
      const ids = archives.flatMap((index) => targets.archives[index]?.report.id ?? []);
      plan.lost.push({ host, kind, object: id, archives: ids, what: faultsText(name, tallies), isSure, isRecorded: recorded.has(id) });
      continue;
    }
    const from = namesOf(holders);
    plan.copies.push(...bad.map((tally): ObjectCopy => ({ host, kind, key: objectKey(host, kind, id), region: tally.region.name, why: tally.fault(name) ?? "", from, bytes, object })));
  }
}

function planRecords({ host, wanted, records }: Findings, plan: RepairPlan): void {
  const names = new Set(namesOf(wanted));
  for (const { record, bytes, regions: from, missing, bad } of records) {
    const key = objectKey(host, "record", record.record.id);
    const copy = (region: string, why: string): SmallCopy => ({ host, kind: "record", key, region, why, from, bytes: bytes.length, content: bytes });
    plan.copies.push(...missing.filter((name) => names.has(name)).map((name) => copy(name, "missing")));
    plan.copies.push(...bad.filter((name) => names.has(name)).map((name) => copy(name, "damaged: nobody who is pinned has signed it")));
  }
}

function planManifests({ host, targets, tallies, wanted, isSure }: Findings, plan: RepairPlan): void {
  const lost = new Set(plan.lost.flatMap(({ archives }) => archives));
  for (const { seen } of targets.archives.toReversed()) {
    const { id, type, objects } = seen.header;
    const holders = tallies.filter((tally) => tally.holds(id));
    for (const tally of wanted) {
      const why = tally.fault(id);
      if (why === undefined) continue;
      const region = tally.region.name;
      const isMissing = tally.isMissingManifest(id);
      const kind = type === "manifest" ? "archive" : "checkpoint";
      if (isMissing && lost.has(id)) plan.withheld.push({ host, archive: id, region, what: "no region holds all that it lists" });
      else plan.copies.push({ host, kind: type, key: objectKey(host, kind, id), region, why, from: namesOf(holders), bytes: objects.size, seen, isMissing });
    }
  }
  for (const [id, what] of targets.lostManifests) {
    plan.lost.push({ host, kind: "manifest", object: id, archives: [id], what: faultsText(id, tallies) || what, isSure, isRecorded: false });
  }
}

/** What every object of the plan goes by: a copy's object, region by region, is read once. */
export function byObject(copies: readonly PlannedCopy[]): ObjectCopy[][] {
  const objects = copies.filter((copy): copy is ObjectCopy => copy.kind === "volume" || copy.kind === "catalog");
  return [...Map.groupBy(objects, ({ host, object }) => `${host} ${objectName(object)}`).values()];
}
