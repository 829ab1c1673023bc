/** Which volumes are worth storing the rest of again, so that they can go once nothing else needs them. */
import { idTimeMs } from "../format/id.ts";

/** A volume of which the newest archive needs little. */
export type LowVolume = {
  id: string;
  /** Content of it that the newest archive needs, before compression. */
  neededBytes: number;
  /** The first archive of which that is known. */
  since: string;
};

/** Of less than this share of its content, a volume is kept for little. */
const LITTLE = 0.25;
/** Looking through a whole catalog takes a second for a million entries. */
export const MEASURE_EVERY_MS = 7 * 86_400_000;

/** Volumes of which `archive` needs little: content needed and content in all by volume, and what was known before. */
export function lowVolumes(neededBytes: ReadonlyMap<string, number>, contentBytes: ReadonlyMap<string, number>, before: readonly LowVolume[], archive: string): LowVolume[] {
  const since = new Map(before.map((volume) => [volume.id, volume.since]));
  return [...neededBytes].flatMap(([id, needed]) => (needed < LITTLE * (contentBytes.get(id) ?? 0) ? [{ id, neededBytes: needed, since: since.get(id) ?? archive }] : []));
}

/**
 * The volumes to leave this time, the emptiest first, up to `budgetBytes` of content to be stored again. One that an older
 * archive needs more of stays: it will not go before that does, and then it costs nothing.
 */
export function volumesToReclaim(low: readonly LowVolume[], living: readonly string[], budgetBytes: number): string[] {
  const chosen: string[] = [];
  let leftBytes = budgetBytes;
  for (const { id, neededBytes, since } of low.toSorted((a, b) => a.neededBytes - b.neededBytes)) {
    const isNeededByOlder = living.some((archive) => idTimeMs(archive) >= idTimeMs(id) && archive < since);
    if (isNeededByOlder || neededBytes > leftBytes) continue;
    chosen.push(id);
    leftBytes -= neededBytes;
  }
  return chosen;
}
