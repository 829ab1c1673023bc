/** Ends a host's reports: its silence is then no alarm. Its archives stay, and can be restored as before. */
import { randomBytes } from "node:crypto";
import type { Signer } from "../codec/signer.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { ID_RANDOM_BYTES, makeId } from "../format/id.ts";
import type { Emit } from "./events.ts";
import type { OpenVault } from "./open-vault.ts";
import { putRecord } from "./records.ts";
import { retirement } from "./status.ts";

export type Retirement = { host: string; record: string | null; regions: Record<string, "recorded" | "behind"> };

/** `record` is null where the host was retired before. Throws E_SIGNER, E_REGION when no region took the record. */
export async function retireHost(vault: OpenVault, host: string, signer: Signer, reason: string, emit: Emit, signal: AbortSignal): Promise<Retirement> {
  if (!vault.hosts().includes(host)) throw new ColdkeepError("E_SIGNER", `no signer is pinned for host "${host}"`, { hint: `Pinned are: ${vault.hosts().join(", ") || "none"}.` });
  const states = (failed: ReadonlySet<string>): Retirement["regions"] => Object.fromEntries(vault.regions.map(({ name }) => [name, failed.has(name) ? "behind" : "recorded"]));
  if ((await retirement(vault, host, emit, signal)) !== null) return { host, record: null, regions: states(new Set()) };
  const id = makeId(Date.now(), randomBytes(ID_RANDOM_BYTES));
  const record = { vault: vault.trust.vault, host, id, at: new Date().toISOString(), kind: "retire" as const, reason };
  const failed = await putRecord(vault.reachable, record, signer, signal);
  for (const { region, error } of failed) emit({ kind: "warning", message: `region "${region}" did not take the record: ${messageOf(error)}` });
  if (failed.length === vault.reachable.length) throw new ColdkeepError("E_REGION", `no region took the record that retires "${host}"`, { hint: "Run again when a region answers." });
  const reached = new Set(vault.reachable.map(({ name }) => name));
  const missing = vault.regions.filter(({ name }) => !reached.has(name)).map(({ name }) => name);
  return { host, record: id, regions: states(new Set([...failed.map(({ region }) => region), ...missing])) };
}
