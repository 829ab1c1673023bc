/** Holds: an archive that stays whatever the rule says, until its hold is released. */
import { randomBytes } from "node:crypto";
import type { Signer } from "../codec/signer.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { ID_RANDOM_BYTES, makeId } from "../format/id.ts";
import { agreedTimeMs } from "../policy/clock.ts";
import type { Emit } from "./events.ts";
import type { LivingSurvey } from "./living.ts";
import type { OpenVault } from "./open-vault.ts";
import { putRecord, type RecordText } from "./records.ts";

/** `records` are the ids of what was written: none where nothing had to be. */
export type HoldReport = { host: string; archive: string; records: string[]; regions: Record<string, "recorded" | "behind"> };

export type HoldOrder = { vault: OpenVault; archive: string; reason: string; signer: Signer; emit: Emit; signal: AbortSignal };

/** Throws E_NOT_FOUND, E_REGION when no region took the record. */
export async function holdArchive(order: HoldOrder): Promise<HoldReport> {
  const { vault, archive: wanted, reason } = order;
  const survey = await vault.survey(vault.host());
  const archive = vault.choose(wanted === "latest" ? survey : withExpired(survey), wanted).header.id;
  const isHeld = survey.fates.held.get(archive)?.some((hold) => hold.reason === reason) === true;
  return write(order, archive, isHeld ? [] : [{ ...(await head(order)), kind: "hold", archive, reason }]);
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
  const records: RecordText[] = [];
  for (const hold of holds) records.push({ ...(await head(order)), kind: "release", archive, hold: hold.id, reason });
  return write(order, archive, records);
}

/** A held archive may be gone from every region that answers; its hold can end all the same. */
function heldArchive({ archives, fates }: LivingSurvey, wanted: string): string | undefined {
  if (archives.some(({ header }) => header.id.startsWith(wanted.toLowerCase()))) return undefined;
  const found = [...fates.held.keys()].filter((id) => id.startsWith(wanted.toLowerCase()));
  return found.length === 1 ? found[0] : undefined;
}

/** What every record begins with; its time is the regions'. */
async function head({ vault, signal }: HoldOrder): Promise<Pick<RecordText, "vault" | "host" | "id" | "at">> {
  const clocks = await Promise.allSettled(vault.reachable.map(({ store }) => store.nowMs(signal)));
  const nowMs = Math.floor(agreedTimeMs(clocks.flatMap((clock) => (clock.status === "fulfilled" ? [clock.value] : [])), Date.now()));
  return { vault: vault.trust.vault, host: vault.host(), id: makeId(nowMs, randomBytes(ID_RANDOM_BYTES)), at: new Date(nowMs).toISOString() };
}

async function write({ vault, signer, emit, signal }: HoldOrder, archive: string, records: readonly RecordText[]): Promise<HoldReport> {
  const behind = new Set(vault.regions.filter((region) => !vault.reachable.includes(region)).map(({ name }) => name));
  for (const record of records) {
    const failed = await putRecord(vault.reachable, record, signer, signal);
    for (const { region, error } of failed) {
      behind.add(region);
      emit({ kind: "warning", message: `region "${region}" did not take the record: ${messageOf(error)}` });
    }
    if (failed.length === vault.reachable.length) throw new ColdkeepError("E_REGION", `no region took the record about archive ${archive}`, { hint: "Run again when a region answers." });
  }
  const regions = Object.fromEntries(vault.regions.map(({ name }) => [name, behind.has(name) ? "behind" as const : "recorded" as const]));
  return { host: vault.host(), archive, records: records.map(({ id }) => id), regions };
}
