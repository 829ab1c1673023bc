/** What the identities of a kit open, told from manifests and age headers: no volume is downloaded. */
import { recipientFingerprint } from "../codec/age-keys.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { objectsOpened } from "../policy/recipients.ts";
import { loadManifest, type Manifest } from "./manifests.ts";
import { SealedReader } from "./object-source.ts";
import type { OpenVault } from "./open-vault.ts";

export type KeyCheck = {
  host: string;
  /** The newest archive. */
  archive: string | null;
  /** Fingerprints of all its recipients, and whether an identity of the kit is one of theirs. */
  recipients: { fingerprint: string; held: boolean }[];
  /** How many archives there are, and how many the identities open whole by what their manifests say. */
  archives: number;
  opened: number;
  /** Null when the newest archive opens: an age header of each of its recipient sets was opened. */
  fault: string | null;
  hint?: string | undefined;
};

/** `recipients` are the public halves of the vault's identities. Throws StoreError, E_INTERRUPTED. */
export async function checkKeys(vault: OpenVault, host: string, recipients: readonly string[], signal: AbortSignal): Promise<KeyCheck> {
  const held = new Set(recipients.map(recipientFingerprint));
  const { archives } = await vault.survey(host);
  const opened = archives.filter(({ header }) => objectsOpened(header.recipientSets, held)).length;
  const [newest] = archives;
  if (newest === undefined) return { host, archive: null, recipients: [], archives: 0, opened: 0, fault: "has no archive" };
  const fingerprints = [...new Set(newest.header.recipientSets.flat())].toSorted();
  const found = { host, archive: newest.header.id, recipients: fingerprints.map((fingerprint) => ({ fingerprint, held: held.has(fingerprint) })), archives: archives.length, opened };
  try {
    const manifest = await loadManifest(vault.reachable, newest, vault.trust, signal);
    const reader = await SealedReader.create(vault.objects(newest), vault.identities);
    for (const object of oneOfEachSet(manifest)) await reader.payloadKey(object);
    return { ...found, fault: null };
  } catch (error) {
    signal.throwIfAborted();
    return { ...found, fault: messageOf(error), hint: error instanceof ColdkeepError ? error.hint : undefined };
  }
}

function oneOfEachSet({ header, objects }: Manifest): Manifest["objects"] {
  return header.recipientSets.flatMap((_, set) => objects.find((object) => object.set === set) ?? []);
}
