/** Ends a host's reports: its silence is then no alarm. Its archives stay, and can be restored as before. */
import type { Signer } from "../codec/signer.ts";
import { ColdkeepError } from "../errors.ts";
import type { Emit } from "./events.ts";
import type { OpenVault } from "./open-vault.ts";
import { recordedIn, type RecordedIn, recordStatement } from "./operator-record.ts";
import { recordedFacts } from "./status.ts";

export type Retirement = { host: string; record: string | null; regions: RecordedIn };

/** `record` is null where the host was retired before. Throws E_SIGNER, E_REGION when no region took the record. */
export async function retireHost(vault: OpenVault, host: string, signer: Signer, reason: string, emit: Emit, signal: AbortSignal): Promise<Retirement> {
  if (!vault.hosts().includes(host)) throw new ColdkeepError("E_SIGNER", `no signer is pinned for host "${host}"`, { hint: `Pinned are: ${vault.hosts().join(", ") || "none"}.` });
  if ((await recordedFacts(vault, host, emit, signal)).retired !== null) return { host, record: null, regions: recordedIn(vault, []) };
  const { id, regions } = await recordStatement(vault, { kind: "retire", host, reason }, signer, emit, signal);
  return { host, record: id, regions };
}
