/** All hosts of a vault at a glance: only the newest archive of each is looked at. */
import type { Emit } from "./events.ts";
import { listed, type ListedArchive } from "./list-archives.ts";
import { eachOf } from "./manifests.ts";
import type { OpenVault } from "./open-vault.ts";
import { recordedFacts } from "./status.ts";

const HOSTS_AT_ONCE = 16;

export type FleetHost = {
  host: string;
  /** The newest that verifies; null for a host that never reported. */
  newest: ListedArchive | null;
  retired: { at: string; reason: string } | null;
  /** Newer manifests that did not verify. */
  faults: string[];
};

/** Every host with a pinned signer, by name; quickest where most have reported since `sinceMs`. Throws StoreError when no region answers, E_INTERRUPTED. */
export async function fleetStatus(vault: OpenVault, sinceMs: number, emit: Emit, signal: AbortSignal): Promise<FleetHost[]> {
  const found: FleetHost[] = [];
  await eachOf(vault.hosts(), HOSTS_AT_ONCE, async (host) => {
    const [survey, { retired }] = await Promise.all([vault.newest(host, sinceMs), recordedFacts(vault, host, emit, signal)]);
    const [newest] = survey.archives;
    const faults = survey.faulty.map(({ region, fault }) => `region ${region}: ${fault.message}`);
    found.push({ host, newest: newest === undefined ? null : listed(vault, survey, newest), retired, faults });
  });
  return found.toSorted((a, b) => (a.host < b.host ? -1 : 1));
}
