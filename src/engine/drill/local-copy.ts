/** One archive as a vault of its own in a directory: what is drilled with where there is no network, and what may be damaged. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../codec/digest.ts";
import { ColdkeepError } from "../../errors.ts";
import { formatKit, type Kit } from "../../format/kit.ts";
import { objectKey, VAULT_MARKER_KEY } from "../../format/object-key.ts";
import { encodeVaultMarker } from "../../format/vault-marker.ts";
import { KIB } from "../../units.ts";
import type { Emit } from "../events.ts";
import type { FoundArchive, OpenVault } from "../open-vault.ts";
import { closeRegions, openRegions, readerSpec } from "../region.ts";
import { completeRegion } from "../region-copy.ts";

export const COPY_REGION = "drill";
/** age authenticates chunks of so many bytes: one wrong byte in each, and none can be read. */
const CHUNK_BYTES = 64 * KIB;

/** Copies every object of the archive, each checked against its signed digest, and its manifest last. Throws E_OBJECT, E_STORE, E_DISK. */
export async function copyArchive(vault: OpenVault, { seen, manifest }: FoundArchive, folder: string, emit: Emit, signal: AbortSignal): Promise<{ bytes: number }> {
  mkdirSync(folder, { mode: 0o700 });
  const regions = await openRegions([readerSpec(COPY_REGION, `file://${folder}`)], emit);
  try {
    const [region] = regions;
    if (region === undefined) throw new ColdkeepError("E_INTERNAL", "no region was opened");
    const marker = encodeVaultMarker(vault.trust.vault, seen.header.startedAt);
    await region.store.put(VAULT_MARKER_KEY, marker, { sha256: sha256Hex(marker), signal });
    const sources = vault.reachable.toSorted((a, b) => Number(seen.regions.includes(b.name)) - Number(seen.regions.includes(a.name)));
    const { copiedBytes } = await completeRegion(region, { host: seen.header.host, manifest, sources, emit, signal });
    return { bytes: copiedBytes };
  } finally {
    closeRegions(regions);
  }
}

/** The kit for a copy that lies at `path`: it opens archives and signs nothing. */
export function copyKit({ trust, identities }: OpenVault, path: string): Kit {
  return { vault: trust.vault, identities: [...identities], regions: [{ name: COPY_REGION, url: `file://${path}` }], signers: [...trust.signers], credentials: [] };
}

export function writeCopyKit(kit: Kit, path: string, createdAt: string): void {
  writeFileSync(path, formatKit(kit, { createdAt }), { mode: 0o600, flag: "wx" });
}

/** Damages the largest volume of the copy so that nothing in it can be read, as a disk or a person might have. Returns its id. Throws E_NOT_FOUND where the archive has none. */
export function damageCopy({ seen, manifest }: FoundArchive, folder: string): string {
  const [volume] = manifest.objects.filter(({ kind }) => kind === "volume").toSorted((a, b) => b.sizeBytes - a.sizeBytes);
  if (volume === undefined) throw new ColdkeepError("E_NOT_FOUND", `archive ${seen.header.id} has no volume that could be damaged`, { hint: "Sabotage another archive with --archive ID." });
  const path = join(folder, objectKey(seen.header.host, "volume", volume.id));
  const bytes = readFileSync(path);
  for (let at = volume.head.lengthBytes; at < bytes.length; at += CHUNK_BYTES) bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
  return volume.id;
}
