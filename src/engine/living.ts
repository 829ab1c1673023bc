/** A host's archives as its operator's records leave them: what has expired counts as gone, whichever regions still hold it. */
import { type Fates, fatesOf, isExpired } from "../policy/fates.ts";
import type { SeenArchive } from "../policy/latest.ts";
import type { EarlyListings } from "./early-listings.ts";
import type { Emit } from "./events.ts";
import { surveyHost, type Survey } from "./manifests.ts";
import { readRecords } from "./records.ts";
import type { Region } from "./region.ts";
import type { Trust } from "./trust.ts";

/** `archives` are those that live; `expired` have a manifest somewhere still. */
export type LivingSurvey = Survey & { expired: SeenArchive[]; fates: Fates };

/** `surveyHost` for archives, with the records. Throws StoreError when every region fails, E_INTERRUPTED. */
export async function surveyLiving(regions: readonly Region[], host: string, trust: Trust, emit: Emit, signal: AbortSignal, early?: EarlyListings): Promise<LivingSurvey> {
  const [survey, records] = await Promise.all([surveyHost(regions, host, trust, "archive", signal, early), readRecords(regions, host, trust, emit, signal, early)]);
  const fates = fatesOf(records);
  const { expired = [], living = [] } = Object.groupBy(survey.archives, (archive) => (isExpired(fates, archive) ? "expired" : "living"));
  return { ...survey, archives: living, expired, fates };
}
