/** A record in every region of an open vault, dated by the regions' clocks. */
import { randomBytes } from "node:crypto";
import type { Signer } from "../codec/signer.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { ID_RANDOM_BYTES, makeId } from "../format/id.ts";
import { agreedTimeMs } from "../policy/clock.ts";
import type { Emit } from "./events.ts";
import type { OpenRegions } from "./open-vault.ts";
import { putRecord, type RecordText } from "./records.ts";

export type RecordedIn = Record<string, "recorded" | "behind">;

type Undated<R> = R extends RecordText ? Omit<R, "vault" | "id" | "at"> : never;
/** What a record says, before it has a time and a vault. */
export type Statement = Undated<RecordText>;

/** Region → what holds for it, those that did not answer included. */
export function recordedIn(vault: OpenRegions, failed: readonly string[]): RecordedIn {
  const reached = new Set(vault.reachable.map(({ name }) => name).filter((name) => !failed.includes(name)));
  return Object.fromEntries(vault.regions.map(({ name }) => [name, reached.has(name) ? "recorded" : "behind"]));
}

async function regionsTimeMs(vault: OpenRegions, signal: AbortSignal): Promise<number> {
  const clocks = await Promise.allSettled(vault.reachable.map(({ store }) => store.nowMs(signal)));
  return Math.floor(agreedTimeMs(clocks.flatMap((clock) => (clock.status === "fulfilled" ? [clock.value] : [])), Date.now()));
}

/** Signs the statement and puts it. Returns its id. Throws E_REGION when no region took it. */
export async function recordStatement(vault: OpenRegions, statement: Statement, signer: Signer, emit: Emit, signal: AbortSignal): Promise<{ id: string; regions: RecordedIn }> {
  const nowMs = await regionsTimeMs(vault, signal);
  const id = makeId(nowMs, randomBytes(ID_RANDOM_BYTES));
  const failed = await putRecord(vault.reachable, { ...statement, vault: vault.trust.vault, id, at: new Date(nowMs).toISOString() }, signer, signal);
  for (const { region, error } of failed) emit({ kind: "warning", message: `region "${region}" did not take the record: ${messageOf(error)}` });
  if (failed.length === vault.reachable.length) throw new ColdkeepError("E_REGION", `no region took the ${statement.kind} record of "${statement.host}"`, { hint: "Run again when a region answers." });
  return { id, regions: recordedIn(vault, failed.map(({ region }) => region)) };
}
