/** A host's archives as its operator's records leave them: what has expired counts as gone, whichever regions still hold it. */
import { type Fates, fatesOf, isExpired } from "../policy/fates.ts";
import type { SeenArchive } from "../policy/latest.ts";
import type { Emit } from "./events.ts";
import { tellRecordFaults } from "./records.ts";
import type { Region } from "./region.ts";
import { surveyHost, type Survey, type SurveyAids } from "./survey.ts";
import type { Trust } from "./trust.ts";

/** `archives` are those that live; `expired` have a manifest somewhere still. */
export type LivingSurvey = Survey & { expired: SeenArchive[]; fates: Fates };

/** `surveyHost` for archives; what is wrong with records is told. Throws StoreError when every region fails, E_INTERRUPTED. */
export async function surveyLiving(regions: readonly Region[], host: string, trust: Trust, emit: Emit, signal: AbortSignal, aids: SurveyAids = {}): Promise<LivingSurvey> {
  const survey = await surveyHost(regions, host, trust, "archive", signal, aids);
  tellRecordFaults(survey.recordFaults, emit);
  const fates = fatesOf(survey.records);
  const { expired = [], living = [] } = Object.groupBy(survey.archives, (archive) => (isExpired(fates, archive) ? "expired" : "living"));
  return { ...survey, archives: living, expired, fates };
}
