/** Proves that a kit opens what it should: the newest archive of each host, catalog and contents. */
import { ColdkeepError, messageOf } from "../errors.ts";
import { newestFirst } from "../policy/latest.ts";
import type { OpenVault } from "./open-vault.ts";
import { loadManifest } from "./manifests.ts";
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
