/** A record by the operator of a kit, in every region of an open vault. */
import { randomBytes } from "node:crypto";
import { ColdkeepError, messageOf } from "../errors.ts";
import { ID_RANDOM_BYTES, makeId } from "../format/id.ts";
import type { Kit } from "../format/kit.ts";
import type { Emit } from "./events.ts";
import type { OpenVault } from "./open-vault.ts";
import { putRecord, type RecordText } from "./records.ts";

export type RecordedIn = Record<string, "recorded" | "behind">;

type Undated<R> = R extends RecordText ? Omit<R, "vault" | "id" | "at"> : never;
/** What a record says, before it has a time and a vault. */
export type Statement = Undated<RecordText>;

/** Region → what holds for it, those that did not answer included. */
export function recordedIn(vault: OpenVault, failed: readonly string[]): RecordedIn {
  const reached = new Set(vault.reachable.map(({ name }) => name).filter((name) => !failed.includes(name)));
  return Object.fromEntries(vault.regions.map(({ name }) => [name, reached.has(name) ? "recorded" : "behind"]));
}

/** The operator's key of a kit. Throws E_KIT when it has none. */
export function operatorKeyOf({ operatorKey }: Kit): string {
  if (operatorKey !== undefined) return operatorKey;
  throw new ColdkeepError("E_KIT", "the kit holds no operator's key, which alone may say this", { hint: "Use the kit with an `# operator-key:` line." });
}

/** Signs the statement and puts it. Returns its id. Throws E_KIT without an operator's key, E_REGION when no region took it. */
export async function recordStatement(vault: OpenVault, statement: Statement, kit: Kit, emit: Emit, signal: AbortSignal): Promise<{ id: string; regions: RecordedIn }> {
  const operatorKey = operatorKeyOf(kit);
  const now = Date.now();
  const id = makeId(now, randomBytes(ID_RANDOM_BYTES));
  const failed = await putRecord(vault.reachable, { ...statement, vault: vault.trust.vault, id, at: new Date(now).toISOString() }, operatorKey, signal);
  for (const { region, error } of failed) emit({ kind: "warning", message: `region "${region}" did not take the record: ${messageOf(error)}` });
  if (failed.length === vault.reachable.length) throw new ColdkeepError("E_REGION", `no region took the ${statement.kind} record of "${statement.host}"`, { hint: "Run again when a region answers." });
  return { id, regions: recordedIn(vault, failed.map(({ region }) => region)) };
}
