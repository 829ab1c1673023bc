/** Reading and writing the operator's records of a host. A valid one found in any region holds for all. */
import { sha256Hex } from "../codec/digest.ts";
import { formatPublicKey, parsePublicKey, parseSecretKey, signedObject, verifySignature } from "../codec/signer.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { objectKey } from "../format/object-key.ts";
import { encodeRecord, parseRecord, RECORD_BYTES_MAX, RECORD_LINE_BYTES_MAX, type KnownRecord, type VaultRecord } from "../format/record.ts";
import { signedMessage, splitSigned } from "../format/signed-text.ts";
import { FORMAT_VERSION } from "../format/vault-marker.ts";
import { StoreError } from "../storage/object-store.ts";
import type { Emit } from "./events.ts";
import type { EarlyListings } from "./early-listings.ts";
import { askEach, eachOf, listObjects, type LostRegion } from "./manifests.ts";
import type { Region } from "./region.ts";
import type { Trust } from "./trust.ts";

const RECORDS_AT_ONCE = 16;

function operatorKeys(trust: Trust): string[] {
  return trust.signers.flatMap((signer) => (signer.role === "operator" ? [parsePublicKey(signer.key)] : []));
}

/** Checks a record against the key it was read from and the pinned operators. Throws E_FORMAT, E_SIGNER. */
export function verifyRecord(bytes: Buffer, expected: { host: string; id: string }, trust: Trust): VaultRecord {
  const what = `record ${expected.id} of ${expected.host}`;
  const { line, signature } = splitSigned(bytes, RECORD_LINE_BYTES_MAX, what);
  const parsed = parseRecord(line, what);
  const message = signedMessage("record", line);
  if (!operatorKeys(trust).some((key) => verifySignature(key, message, signature))) {
    throw new ColdkeepError("E_SIGNER", `${what} is signed by nobody who is pinned as operator`, { hint: "Pin the operator's signer, or find out who wrote it." });
  }
  const { host, id, vault } = parsed.record;
  if (host !== expected.host || id !== expected.id || vault !== trust.vault) throw new ColdkeepError("E_FORMAT", `${what} says it is ${id} of ${host} in vault ${vault}`);
  return parsed;
}

/** The valid records of a host, oldest first; others are told and left out. Throws StoreError when no region answers, E_INTERRUPTED. */
export async function readRecords(regions: readonly Region[], host: string, trust: Trust, emit: Emit, signal: AbortSignal, early?: EarlyListings): Promise<VaultRecord[]> {
  const lost: LostRegion[] = [];
  const listings = await askEach(regions, (region) => early?.get(region, "record") ?? listObjects(region, host, "record", signal), lost, signal);
  if (listings.length === 0 && lost[0] !== undefined) throw lost[0].error;
  const ids = [...new Set(listings.flatMap(({ answer }) => [...answer.keys()]))].toSorted();
  const found = new Map<string, VaultRecord>();
  await eachOf(ids, RECORDS_AT_ONCE, async (id) => {
    for (const { region } of listings.filter(({ answer }) => answer.has(id))) {
      try {
        const bytes = await region.store.fetchBytes(objectKey(host, "record", id), { maxBytes: RECORD_BYTES_MAX, signal });
        found.set(id, verifyRecord(bytes, { host, id }, trust));
        return;
      } catch (error) {
        signal.throwIfAborted();
        emit({ kind: "warning", message: `region "${region.name}": ${messageOf(error)}`, hint: error instanceof ColdkeepError ? error.hint : undefined });
      }
    }
  });
  return ids.flatMap((id) => found.get(id) ?? []);
}

/** A valid record with its bytes, and the regions that answered, by how they hold it. */
export type SeenRecord = { seen: VaultRecord; bytes: Buffer; right: string[]; missing: string[]; bad: string[] };

/** The valid records of a host with where they are, oldest first; what is valid in no region is left alone. Regions that fail go to `lost`. Throws E_INTERRUPTED. */
export async function surveyRecords(regions: readonly Region[], host: string, trust: Trust, lost: LostRegion[], signal: AbortSignal): Promise<SeenRecord[]> {
  const listings = await askEach(regions, (region) => listObjects(region, host, "record", signal), lost, signal);
  const ids = [...new Set(listings.flatMap(({ answer }) => [...answer.keys()]))].toSorted();
  const found = new Map<string, SeenRecord>();
  await eachOf(ids, RECORDS_AT_ONCE, async (id) => {
    const [right, missing, bad]: [string[], string[], string[]] = [[], [], []];
    const read = async (region: Region): Promise<void> => {
      try {
        const bytes = await region.store.fetchBytes(objectKey(host, "record", id), { maxBytes: RECORD_BYTES_MAX, signal });
        const seen = verifyRecord(bytes, { host, id }, trust);
        found.set(id, { seen, bytes, right, missing, bad });
        right.push(region.name);
      } catch (error) {
        if (error instanceof StoreError && error.fault === "missing") missing.push(region.name);
        else if (!(error instanceof StoreError) || error.fault === "corrupt") bad.push(region.name);
        else throw error;
      }
    };
    await askEach(listings.map(({ region }) => region), read, lost, signal);
  });
  return ids.flatMap((id) => found.get(id) ?? []);
}

type Unsigned<R> = R extends KnownRecord ? Omit<R, "type" | "format" | "signer"> : never;
/** What a record says, before anybody signs it. */
export type RecordText = Unsigned<KnownRecord>;

/** Signs a record with the operator's secret key and puts it into every region. Returns the regions that failed. Throws E_CONFIG. */
export async function putRecord(
  regions: readonly Region[],
  record: RecordText,
  operatorKey: string,
  signal: AbortSignal,
): Promise<{ region: string; error: unknown }[]> {
  const signer = parseSecretKey(operatorKey);
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
