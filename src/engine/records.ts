/** Reading and writing the operator's records of a host. A valid one found in any region holds for all. */
import { sha256Hex } from "../codec/digest.ts";
import { formatPublicKey, parsePublicKey, type Signer, signedObject, verifySignature } from "../codec/signer.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { objectKey } from "../format/object-key.ts";
import { encodeRecord, parseRecord, RECORD_BYTES_MAX, RECORD_LINE_BYTES_MAX, type KnownRecord, type VaultRecord } from "../format/record.ts";
import { signedMessage, splitSigned } from "../format/signed-text.ts";
import { FORMAT_VERSION } from "../format/format-version.ts";
import type { EarlyListings } from "./early-listings.ts";
import type { Emit } from "./events.ts";
import { askEach, eachOf, listObjects, type LostRegion } from "./manifests.ts";
import type { Region } from "./region.ts";
import type { Trust } from "./trust.ts";

export const RECORDS_AT_ONCE = 16;

/** An operator may say anything of a host, a drill's signer only how a drill went. */
function keysFor({ kind }: VaultRecord, trust: Trust): string[] {
  return trust.signers.flatMap(({ role, key }) => (role === "operator" || (role === "drill" && kind === "drill") ? [parsePublicKey(key)] : []));
}

/** Checks a record against the key it was read from and the pinned signers. Throws E_FORMAT, E_SIGNER. */
export function verifyRecord(bytes: Buffer, expected: { host: string; id: string }, trust: Trust): VaultRecord {
  const what = `record ${expected.id} of ${expected.host}`;
  const { line, signature } = splitSigned(bytes, RECORD_LINE_BYTES_MAX, what);
  const parsed = parseRecord(line, what);
  const message = signedMessage("record", line);
  if (!keysFor(parsed, trust).some((key) => verifySignature(key, message, signature))) {
    throw new ColdkeepError("E_SIGNER", `${what} is signed by nobody who is pinned as operator`, { hint: "Pin the operator's signer, or find out who wrote it." });
  }
  const { host, id, vault } = parsed.record;
  if (host !== expected.host || id !== expected.id || vault !== trust.vault) throw new ColdkeepError("E_FORMAT", `${what} says it is ${id} of ${host} in vault ${vault}`);
  return parsed;
}

/** A record of a region, verified, and its bytes. Throws StoreError, E_FORMAT, E_SIGNER. */
export async function readRecord(region: Region, expected: { host: string; id: string }, trust: Trust, signal: AbortSignal | undefined): Promise<{ record: VaultRecord; bytes: Buffer }> {
  const bytes = await region.store.fetchBytes(objectKey(expected.host, "record", expected.id), { maxBytes: RECORD_BYTES_MAX, signal });
  return { record: verifyRecord(bytes, expected, trust), bytes };
}

/** A record that verified, as it is stored, and the names of the regions that hold it. */
export type StoredRecord = { record: VaultRecord; bytes: Buffer; regions: string[] };

/** What lies among the records of a region and is none that counts. */
export type RecordFault = { id: string; region: string; error: unknown };

/** `lost`: regions that failed, whose own records were not seen. */
export type RecordSurvey = { records: StoredRecord[]; faulty: RecordFault[]; lost: LostRegion[] };

/** All records of a host, oldest first, each from the first region where it is valid. Throws E_INTERRUPTED. */
export async function surveyRecords(regions: readonly Region[], host: string, trust: Trust, signal: AbortSignal | undefined, early?: EarlyListings): Promise<RecordSurvey> {
  const survey: RecordSurvey = { records: [], faulty: [], lost: [] };
  const listings = await askEach(regions, (region) => early?.get(region, "record") ?? listObjects(region, host, "record", signal), survey.lost, signal);
  const ids = [...new Set(listings.flatMap(({ answer }) => [...answer.keys()]))].toSorted();
  const found = new Map<string, StoredRecord>();
  await eachOf(ids, RECORDS_AT_ONCE, async (id) => {
    const holders = listings.filter(({ answer }) => answer.has(id));
    for (const { region } of holders) {
      try {
        const { record, bytes } = await readRecord(region, { host, id }, trust, signal);
        found.set(id, { record, bytes, regions: holders.flatMap((holder) => (holder.answer.get(id)?.sizeBytes === bytes.length ? [holder.region.name] : [])) });
        return;
      } catch (error) {
        signal?.throwIfAborted();
        survey.faulty.push({ id, region: region.name, error });
      }
    }
  });
  return { ...survey, records: ids.flatMap((id) => found.get(id) ?? []) };
}

/** The valid records of a host, oldest first, and what is wrong with others. Throws StoreError when no region answers, E_INTERRUPTED. */
export async function findRecords(regions: readonly Region[], host: string, trust: Trust, signal?: AbortSignal, early?: EarlyListings): Promise<{ records: VaultRecord[]; faults: RecordFault[] }> {
  const { records, faulty, lost } = await surveyRecords(regions, host, trust, signal, early);
  if (lost.length === regions.length && lost[0] !== undefined) throw lost[0].error;
  return { records: records.map(({ record }) => record), faults: faulty };
}

export function tellRecordFaults(faults: readonly RecordFault[], emit: Emit): void {
  for (const { region, error } of faults) {
    emit({ kind: "warning", message: `region "${region}": ${messageOf(error)}`, hint: error instanceof ColdkeepError ? error.hint : undefined });
  }
}

/** As `findRecords`; what is wrong is told. */
export async function readRecords(regions: readonly Region[], host: string, trust: Trust, emit: Emit, signal: AbortSignal): Promise<VaultRecord[]> {
  const { records, faults } = await findRecords(regions, host, trust, signal);
  tellRecordFaults(faults, emit);
  return records;
}

type Unsigned<R> = R extends KnownRecord ? Omit<R, "type" | "format" | "signer"> : never;
/** What a record says, before anybody signs it. */
export type RecordText = Unsigned<KnownRecord>;

/** Signs a record and puts it into every region. Returns the regions that failed. */
export async function putRecord(regions: readonly Region[], record: RecordText, signer: Signer, signal: AbortSignal): Promise<{ region: string; error: unknown }[]> {
  const line = encodeRecord({ type: "record", format: FORMAT_VERSION, ...record, signer: formatPublicKey(signer.publicKey) });
  const bytes = signedObject(signer.privateKey, "record", line);
  const put = { sha256: sha256Hex(bytes), signal };
  const failed: { region: string; error: unknown }[] = [];
  const send = async (region: Region): Promise<void> => {
    await region.store.put(objectKey(record.host, "record", record.id), bytes, put);
  };
  await Promise.all(regions.map((region) => send(region).catch((error: unknown) => failed.push({ region: region.name, error }))));
  signal.throwIfAborted();
  return failed;
}
