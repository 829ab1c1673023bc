/** Looks at all that a host's unexpired archives and its unfinished run need, in every region. */
import { messageOf } from "../../errors.ts";
import { idTimeMs } from "../../format/id.ts";
import { expiredIds } from "../../policy/fates.ts";
import { newestFirst, type SeenArchive } from "../../policy/latest.ts";
import { formatSize } from "../../units.ts";
import type { Emit } from "../events.ts";
import { type LivingSurvey, surveyLiving } from "../living.ts";
import type { LostRegion } from "../manifests.ts";
import type { Region } from "../region.ts";
import { isVoidIn, surveyHost, type Survey } from "../survey.ts";
import { type ManifestFault, RevokedFault, type Trust } from "../trust.ts";
import { checkPresence, RegionCheck, withCheckers } from "../region-check.ts";
import { RegionTally } from "../region-tally.ts";
import { gatherTargets, type Choice, type NeededObject, type Targets } from "../targets.ts";
import type { Findings } from "./plan.ts";
import { surveyCopies } from "./record-copies.ts";

export type Search = {
  /** Every configured region. */
  regions: readonly Region[];
  /** Those that answer. */
  reachable: readonly Region[];
  /** Null: all regions are to be repaired. */
  only: string | null;
  trust: Trust;
  /** Presence and sizes only: bytes of the right size are taken as right. */
  quick: boolean;
  emit: Emit;
  signal: AbortSignal;
};

/** Throws StoreError when no region answers, E_INTERRUPTED. */
export async function findFaults(host: string, search: Search): Promise<Findings> {
  const { regions, reachable, only, trust, signal, emit } = search;
  emit({ kind: "progress", text: `looking at the archives of ${host}` });
  const lost: LostRegion[] = [];
  const archives = await surveyLiving(reachable, host, trust, emit, signal);
  const checkpoints = await surveyHost(reachable, host, trust, "checkpoint", signal);
  const records = await surveyCopies(reachable, host, trust, lost, signal);
  const tallies = regions.map((region) => new RegionTally(region, host));
  for (const tally of tallies) if (!reachable.includes(tally.region)) tally.noteUnreachable("it does not answer, or does not hold this vault");
  for (const { region, error } of [...lost, ...archives.lost, ...checkpoints.lost]) tallies.find((tally) => tally.region === region)?.noteUnreachable(messageOf(error));
  const isSigned = (fault: ManifestFault): boolean => fault.isUnknownSigner || fault instanceof RevokedFault;
  for (const { region, fault } of archives.faulty) if (isSigned(fault)) emit({ kind: "warning", message: `region "${region}": ${fault.message}; it is left alone`, hint: fault.hint });
  const targets = await gatherTargets(chooseRepairs(archives, checkpoints), tallies, trust, host, signal);
  // Nobody misses what a revoked signer put where nothing was; what it hides may be good.
  for (const { id, fault } of archives.faulty) if (fault instanceof RevokedFault) targets.lostManifests.delete(id);
  const wanted = tallies.filter(({ region }) => only === null || region.name === only);
  await checkAll(host, targets, { wanted, others: tallies.filter((tally) => !wanted.includes(tally)) }, search);
  return { host, targets, tallies, wanted, records, isSure: tallies.every(({ reason }) => reason === undefined) };
}

/** A checkpoint that is older than an archive is of use to nobody: its run was followed by one that got to its end. What has expired is not brought back. */
function chooseRepairs(survey: LivingSurvey, checkpoints: Survey): Choice {
  const { archives, expired, faulty, fates } = survey;
  const seen = newestFirst([...archives, ...expired]);
  const unfinished = checkpoints.archives.filter(({ header }) => header.sequence > (seen[0]?.header.sequence ?? 0));
  const strange = faulty.filter(({ fault }) => fault.isUnknownSigner).map(({ id }) => id);
  const settled = new Set([...seen.map(({ header }) => header.id), ...strange, ...expiredIds(fates)]);
  const ruined = [...new Set(faulty.map(({ id }) => id))].filter((id) => !settled.has(id));
  const isVoid = (manifest: SeenArchive): boolean => isVoidIn(survey, manifest);
  return { archives: newestFirst([...unfinished, ...archives]), ruined: ruined.toSorted((a, b) => idTimeMs(b) - idTimeMs(a)), isVoid };
}

/** All objects in the regions to be repaired; in the others only what is bad in one of those. */
async function checkAll(host: string, targets: Targets, { wanted, others }: { wanted: RegionTally[]; others: RegionTally[] }, search: Search): Promise<void> {
  const all = [...targets.objects.values()];
  await checkIn(host, wanted, all, search);
  const bad = [...targets.objects].flatMap(([name, needed]) => (wanted.some((tally) => tally.fault(name) !== undefined) ? [needed] : []));
  await checkIn(host, others, bad, search);
}

async function checkIn(host: string, tallies: readonly RegionTally[], needed: readonly NeededObject[], { quick, emit, signal }: Search): Promise<void> {
  const asked = tallies.filter(({ reason }) => reason === undefined);
  if (asked.length === 0 || needed.length === 0) return;
  const objects = needed.map(({ object }) => object);
  if (quick) {
    await Promise.all(asked.map((tally) => checkPresence(tally, objects, host, signal)));
    return;
  }
  const total = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) * asked.length;
  const onProgress = (): void => {
    const bytes = asked.reduce((sum, tally) => sum + tally.bytesChecked, 0);
    const more = asked.map((tally) => `${tally.region.name} ${tally.objectsChecked} of ${objects.length} objects`).join(", ");
    emit({ kind: "progress", text: `${host}: ${formatSize(bytes)} of ${formatSize(total)} checked`, work: { done: bytes, total, bytes }, more });
  };
  await withCheckers([], total, async (pool) => {
    const ground = { host, pool, regions: asked.length, signal, onProgress };
    await Promise.all(asked.map((tally) => new RegionCheck(tally, ground).run(objects.map((object) => ({ object, pieces: null })))));
  });
}
