/** Holds: an archive that stays whatever the rule says, until its hold is released. */
import type { Signer } from "../codec/signer.ts";
import type { Emit } from "./events.ts";
import type { LivingSurvey } from "./living.ts";
import type { OpenVault } from "./open-vault.ts";
import { recordedIn, type RecordedIn, recordStatement, type Statement } from "./operator-record.ts";

/** `records` are the ids of what was written: none where nothing had to be. */
export type HoldReport = { host: string; archive: string; records: string[]; regions: RecordedIn };

export type HoldOrder = { vault: OpenVault; archive: string; reason: string; signer: Signer; emit: Emit; signal: AbortSignal };

/** Throws E_NOT_FOUND, E_REGION when no region took the record. */
export async function holdArchive(order: HoldOrder): Promise<HoldReport> {
  const { vault, archive: wanted, reason } = order;
  const survey = await vault.survey(vault.host());
  const archive = vault.choose(wanted === "latest" ? survey : withExpired(survey), wanted).header.id;
  const isHeld = survey.fates.held.get(archive)?.some((hold) => hold.reason === reason) === true;
  return write(order, archive, isHeld ? [] : [{ kind: "hold", host: vault.host(), archive, reason }]);
}

/** A hold brings back what has expired, as long as a region has its manifest. */
function withExpired(survey: LivingSurvey): LivingSurvey {
  return { ...survey, archives: [...survey.archives, ...survey.expired], expired: [] };
}

/** Ends every hold of an archive. Throws E_NOT_FOUND, E_REGION when no region took the record. */
export async function releaseArchive(order: HoldOrder): Promise<HoldReport> {
  const { vault, archive: wanted, reason } = order;
  const survey = await vault.survey(vault.host());
  const archive = heldArchive(survey, wanted) ?? vault.choose(survey, wanted).header.id;
  const holds = survey.fates.held.get(archive) ?? [];
  return write(order, archive, holds.map((hold) => ({ kind: "release", host: vault.host(), archive, hold: hold.id, reason })));
}

/** A held archive may be gone from every region that answers; its hold can end all the same. */
function heldArchive({ archives, fates }: LivingSurvey, wanted: string): string | undefined {
  if (archives.some(({ header }) => header.id.startsWith(wanted.toLowerCase()))) return undefined;
  const found = [...fates.held.keys()].filter((id) => id.startsWith(wanted.toLowerCase()));
  return found.length === 1 ? found[0] : undefined;
}

async function write({ vault, signer, emit, signal }: HoldOrder, archive: string, statements: readonly Statement[]): Promise<HoldReport> {
  const records: string[] = [];
  const regions = recordedIn(vault, []);
  for (const statement of statements) {
    const recorded = await recordStatement(vault, statement, signer, emit, signal);
    records.push(recorded.id);
    for (const [name, state] of Object.entries(recorded.regions)) if (state === "behind") regions[name] = state;
  }
  return { host: vault.host(), archive, records, regions };
}
