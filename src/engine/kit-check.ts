/** Proves that a kit opens what it should: the newest archive of each host, catalog and contents. */
import { parseSecretKey } from "../codec/signer.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import type { Kit } from "../format/kit.ts";
import { newestFirst } from "../policy/latest.ts";
import type { Emit } from "./events.ts";
import type { OpenVault } from "./open-vault.ts";
import { loadManifest } from "./manifests.ts";
import { recordStatement } from "./operator-record.ts";
import { SealedReader } from "./object-source.ts";

export type KitCheck = {
  host: string;
  archive: string | null;
  startedAt: string | null;
  /** Null when all opened. */
  fault: string | null;
  hint?: string | undefined;
};

/** Looks at one host. Throws E_INTERRUPTED. */
export async function checkKitFor(vault: OpenVault, host: string, signal: AbortSignal): Promise<KitCheck> {
  const survey = await vault.newest(host);
  const [seen] = newestFirst(survey.archives);
  const [faulty] = survey.faulty;
  if (seen === undefined) {
    const fault = faulty === undefined ? "has no archive" : `region "${faulty.region}": ${faulty.fault.message}`;
    return { host, archive: null, startedAt: null, fault, hint: faulty?.fault.hint };
  }
  const { id, startedAt } = seen.header;
  try {
    const manifest = await loadManifest(vault.reachable, seen, vault.trust, signal);
    await vault.catalog(seen, manifest);
    const volume = manifest.objects.find(({ kind }) => kind === "volume");
    if (volume !== undefined) {
      const reader = await SealedReader.create(vault.objects(seen), vault.identities);
      // One byte is one authenticated chunk: the key, and the region's copy, are right.
      await reader.read(volume, 0, 1);
    }
    return { host, archive: id, startedAt, fault: null };
  } catch (error) {
    signal.throwIfAborted();
    return { host, archive: id, startedAt, fault: messageOf(error), hint: error instanceof ColdkeepError ? error.hint : undefined };
  }
}

/** Leaves word of it for `status`, where the kit can sign that and the archive opened. What cannot be recorded is told. Throws E_INTERRUPTED. */
export async function recordKitCheck(vault: OpenVault, { host, archive, fault }: KitCheck, { operatorKey }: Kit, emit: Emit, signal: AbortSignal): Promise<void> {
  if (archive === null || fault !== null || operatorKey === undefined) return;
  try {
    await recordStatement(vault, { kind: "drill", host, archive, depth: "kit", result: "passed", report: "" }, parseSecretKey(operatorKey), emit, signal);
  } catch (error) {
    signal.throwIfAborted();
    emit({ kind: "warning", message: `no record of the check of ${host} was left: ${messageOf(error)}`, hint: "`coldkeep status` cannot tell of it. With keys that only read, give --unrecorded." });
  }
}
