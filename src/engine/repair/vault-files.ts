/** What a region has besides the hosts' objects: its marker, and the texts for a person without this program. */
import { messageOf } from "../../errors.ts";
import { VAULT_MARKER_KEY } from "../../format/object-key.ts";
import { encodeVaultMarker, MARKER_BYTES_MAX, parseVaultMarker } from "../../format/vault-marker.ts";
import { readRecoveryFiles } from "../../recovery/recovery-files.ts";
import type { Emit } from "../events.ts";
import { readMarker, type Region } from "../region.ts";
import { surveyHost } from "../survey.ts";
import type { Trust } from "../trust.ts";
import type { SmallCopy } from "./plan.ts";

/** Who repairs, and what of it: as in the search for a host's faults. */
type Vault = { reachable: readonly Region[]; trust: Trust; hosts: readonly string[]; nowMs: number; emit: Emit; signal: AbortSignal };

/**
 * The copy that gives a region its marker back: a bucket that was emptied is filled again, a directory only where a properly signed
 * archive in it proves that it is no mount point without its disk.
 */
export async function planMarker(region: Region, { reachable, trust, hosts, nowMs, emit, signal }: Vault): Promise<SmallCopy | null> {
  try {
    if ((await readMarker(region, signal)) !== null) return null;
    if (!region.url.startsWith("s3:") && !(await holdsArchives(region, hosts, trust, signal))) return null;
    const { content, from } = (await markerOf(reachable, trust.vault, signal)) ?? { content: encodeVaultMarker(trust.vault, new Date(nowMs).toISOString()), from: [] };
    return { host: null, kind: "marker", key: VAULT_MARKER_KEY, region: region.name, why: "missing", from, bytes: content.length, content };
  } catch (error) {
    signal.throwIfAborted();
    emit({ kind: "detail", message: messageOf(error) });
  }
  return null;
}

async function holdsArchives(region: Region, hosts: readonly string[], trust: Trust, signal: AbortSignal): Promise<boolean> {
  for (const host of hosts) if ((await surveyHost([region], host, trust, "archive", signal)).archives.length > 0) return true;
  return false;
}

/** Copies are identical: another region's marker, byte for byte. */
async function markerOf(regions: readonly Region[], vault: string, signal: AbortSignal): Promise<{ content: Buffer; from: string[] } | null> {
  for (const region of regions) {
    const content = await region.store.fetchBytes(VAULT_MARKER_KEY, { maxBytes: MARKER_BYTES_MAX, signal });
    if (parseVaultMarker(content, `region "${region.name}"`) === vault) return { content, from: [region.name] };
  }
  return null;
}

/** Recovery texts that a region lacks, as `init` of this version writes them; one that is there is another version's, and stays. */
export async function planTexts(region: Region, signal: AbortSignal): Promise<SmallCopy[]> {
  const copies: SmallCopy[] = [];
  for (const { key, bytes } of readRecoveryFiles()) {
    if ((await region.store.head(key, signal)) !== null) continue;
    copies.push({ host: null, kind: "text", key, region: region.name, why: "missing", from: [], bytes: bytes.length, content: bytes });
  }
  return copies;
}
