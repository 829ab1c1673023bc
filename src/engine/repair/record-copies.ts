/** How each region holds each valid record of a host. */
import { StoreError } from "../../storage/object-store.ts";
import { askEach, eachOf, type LostRegion } from "../manifests.ts";
import { readRecord, RECORDS_AT_ONCE, type StoredRecord, surveyRecords } from "../records.ts";
import type { Region } from "../region.ts";
import type { Trust } from "../trust.ts";

/** `regions` hold it right, the others that answered lack it or hold something that does not verify. */
export type RecordCopies = StoredRecord & { missing: string[]; bad: string[] };

/** Oldest first; what is valid in no region is left alone. Regions that fail go to `lost`. Throws E_INTERRUPTED. */
export async function surveyCopies(regions: readonly Region[], host: string, trust: Trust, lost: LostRegion[], signal: AbortSignal): Promise<RecordCopies[]> {
  const { records, lost: silent } = await surveyRecords(regions, host, trust, signal);
  lost.push(...silent);
  const asked = regions.filter((region) => !silent.some((each) => each.region === region));
  const found = records.map(({ record, bytes }): RecordCopies => ({ record, bytes, regions: [], missing: [], bad: [] }));
  await eachOf(found, RECORDS_AT_ONCE, async (copies) => {
    const look = async (region: Region): Promise<void> => {
      try {
        await readRecord(region, { host, id: copies.record.record.id }, trust, signal);
        copies.regions.push(region.name);
      } catch (error) {
        if (error instanceof StoreError && error.fault === "missing") copies.missing.push(region.name);
        else if (!(error instanceof StoreError) || error.fault === "corrupt") copies.bad.push(region.name);
        else throw error;
      }
    };
    await askEach(asked, look, lost, signal);
  });
  return found;
}
