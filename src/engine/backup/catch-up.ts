/** Brings regions up to date that lack archives another region holds, oldest first. */
import { messageOf } from "../../errors.ts";
import { newestFirst } from "../../policy/latest.ts";
import type { Emit } from "../events.ts";
import { loadManifest } from "../manifests.ts";
import type { Survey } from "../survey.ts";
import type { Region } from "../region.ts";
import { tryCompleteRegion } from "../region-copy.ts";
import type { Trust } from "../trust.ts";

export async function catchUp(regions: readonly Region[], survey: Survey, host: string, trust: Trust, emit: Emit, signal: AbortSignal): Promise<void> {
  const down = new Set<Region>();
  for (const archive of newestFirst(survey.archives).toReversed()) {
    const behind = regions.filter((region) => !archive.regions.includes(region.name) && !down.has(region));
    const faulty = survey.faulty.filter(({ id }) => id === archive.header.id).map(({ region }) => region);
    const wanting = behind.filter(({ name }) => !faulty.includes(name));
    if (wanting.length === 0) continue;
    const holders = regions.filter(({ name }) => archive.regions.includes(name));
    const manifest = await loadManifest(holders, archive, trust, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      emit({ kind: "warning", message: messageOf(error), hint: "Run `coldkeep verify` to see what is damaged." });
      return null;
    });
    if (manifest === null) continue;
    for (const region of wanting) {
      emit({ kind: "progress", text: `bringing region "${region.name}" up to date with ${archive.header.id}` });
      const isComplete = await tryCompleteRegion(region, { host, manifest, sources: holders, emit, signal });
      if (isComplete) archive.regions.push(region.name);
      else if (region.store.downReason !== undefined) down.add(region);
    }
  }
}
