/** From what was found in each region to what is lost: right in none of them. */
import { ColdkeepError, messageOf } from "../../errors.ts";
import { objectKey } from "../../format/object-key.ts";
import type { Emit } from "../events.ts";
import type { OpenVault } from "../open-vault.ts";
import { namePaths, pieceName, type LostContent } from "./catalogs.ts";
import type { ContentResult } from "../region-check.ts";
import { objectName, type RegionTally } from "../region-tally.ts";
import type { LostObject, RegionProblem } from "./report.ts";
import type { NeededObject, Targets } from "../targets.ts";

/** Files named in all. */
const PATHS_MAX = 100;

export type Doubtful = { objects: NeededObject[]; manifests: string[] };

/** What was looked at and found right nowhere. */
export function findDoubtful(targets: Targets, checked: Iterable<NeededObject>, tallies: readonly RegionTally[]): Doubtful {
  const isRight = (name: string): boolean => tallies.some((tally) => tally.holds(name));
  return {
    objects: [...checked].filter(({ object }) => !isRight(objectName(object))),
    manifests: [...targets.lostManifests.keys()].filter((id) => !isRight(id)),
  };
}

/** `missing in a; damaged: … in b` */
function whereText(name: string, tallies: readonly RegionTally[]): string {
  return tallies.flatMap((tally) => (tally.fault(name) === undefined ? [] : [`region "${tally.region.name}": ${tally.fault(name)}`])).join("; ");
}

export function uncertainProblems(doubtful: Doubtful, host: string, tallies: readonly RegionTally[]): RegionProblem[] {
  const manifests = doubtful.manifests.map((id): RegionProblem => ({ object: id, kind: "manifest", key: objectKey(host, "archive", id), what: whereText(id, tallies) }));
  return [...manifests, ...doubtful.objects.map(({ object }): RegionProblem => {
    const { id, kind } = object;
    return { object: id, kind, key: objectKey(host, kind, id), what: whereText(objectName(object), tallies) };
  })];
}

type Losing = { targets: Targets; tallies: readonly RegionTally[]; vault: OpenVault; emit: Emit };

/** What is lost with `doubtful`, and by content that is wrong in every copy; files are named where a catalog opens. */
export async function describeLost(doubtful: Doubtful, faulty: readonly ContentResult[], losing: Losing): Promise<LostObject[]> {
  const { targets, tallies } = losing;
  const manifests = doubtful.manifests.map((id): LostObject => {
    const what = whereText(id, tallies) || (targets.lostManifests.get(id) ?? "");
    return { object: id, kind: "manifest", what, archives: [id], paths: [], pathsTotal: 0 };
  });
  const objects = doubtful.objects.map((needed) => ({ needed, lost: lostOf(targets, needed, whereText(objectName(needed.object), tallies)), pieces: null }));
  const contents = faulty.flatMap(({ object, faults }) => {
    const needed = targets.objects.get(objectName(object));
    if (needed === undefined) return [];
    const more = faults.length > 1 ? `, and ${faults.length - 1} faults more` : "";
    const isWhole = faults.some(({ piece }) => piece === undefined);
    const pieces = isWhole ? null : new Set(faults.flatMap(({ piece }) => (piece === undefined ? [] : [pieceName(piece.position, piece.offset)])));
    return [{ needed, lost: lostOf(targets, needed, `what it holds is wrong in every copy: ${faults[0]?.what ?? ""}${more}`), pieces }];
  });
  await nameLost([...objects, ...contents], losing);
  return [...manifests, ...[...objects, ...contents].map(({ lost }) => lost)];
}

function lostOf(targets: Targets, { object, archives }: NeededObject, what: string): LostObject {
  const ids = archives.flatMap((index) => targets.archives[index]?.report.id ?? []);
  return { object: object.id, kind: object.kind, what, archives: ids, paths: [], pathsTotal: 0 };
}

type Loss = { needed: NeededObject; lost: LostObject; pieces: ReadonlySet<string> | null };

/** Names the files of lost volumes, each by the catalog of the newest archive that needs it. */
async function nameLost(losses: readonly Loss[], { targets, vault, emit }: Losing): Promise<void> {
  const byArchive = Map.groupBy(
    losses.filter(({ lost }) => lost.kind === "volume"),
    ({ needed }) => Math.min(...needed.archives),
  );
  let room = PATHS_MAX;
  for (const [index, group] of byArchive) {
    const archive = targets.archives[index];
    if (archive === undefined || vault.identities.length === 0) continue;
    const content: LostContent = new Map(group.map(({ lost, pieces }) => [lost.object, pieces]));
    try {
      const found = await namePaths(vault, archive.seen, content, room);
      for (const { lost } of group) {
        const { paths, total } = found.get(lost.object) ?? { paths: [], total: 0 };
        lost.paths = paths;
        lost.pathsTotal = total;
        room -= paths.length;
      }
    } catch (error) {
      if (!(error instanceof ColdkeepError) || error.code === "E_INTERRUPTED") throw error;
      emit({ kind: "warning", message: `the files of archive ${archive.report.id} that are lost cannot be named: ${messageOf(error)}` });
    }
  }
}
