/** A vault made of signed manifests and random bytes in place of volumes: all that is needed where nothing is decrypted. */
import { createHash } from "node:crypto";
import { formatPublicKey, newSigner, type Signer, signedObject } from "../../../src/codec/signer.ts";
import { closeRegions, openRegions, type Region } from "../../../src/engine/region.ts";
import { repairVault, type RepairReport } from "../../../src/engine/repair/run.ts";
import type { Trust } from "../../../src/engine/trust.ts";
import { ID_RANDOM_BYTES, idTimeMs, makeId } from "../../../src/format/id.ts";
import { encodeManifestHeader, encodeObjectList, type ListedObject, type ManifestHeader } from "../../../src/format/manifest.ts";
import { objectKey, type ObjectKind } from "../../../src/format/object-key.ts";
import { encodeRecord } from "../../../src/format/record.ts";
import { encodeVaultMarker } from "../../../src/format/vault-marker.ts";
import { readRecoveryFiles } from "../../../src/recovery/recovery-files.ts";
import type { Keeping } from "../../../src/storage/object-store.ts";
import { fakeS3Url, type FakeBucket, type FakeS3, startFakeS3 } from "../../support/fake-s3.ts";
import { noise } from "../../support/host.ts";
import { afterUse } from "../../support/temp-dir.ts";

export const VAULT = "0123456789abcdef0123456789abcdef";
export const HOST = "web1";
const BEGAN_MS = Date.UTC(2026, 10, 20);
const HEAD_BYTES = 20;

export function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function idAt(minutes: number): string {
  return makeId(BEGAN_MS + minutes * 60_000, Buffer.alloc(ID_RANDOM_BYTES, minutes));
}

const signer = newSigner();
export const OPERATOR = newSigner();
/** Of the same host, and pinned as the other. */
export const STOLEN = newSigner();
export const TRUST: Trust = {
  vault: VAULT,
  signers: [...[signer, STOLEN].map(({ publicKey }) => ({ role: "host" as const, host: HOST, key: formatPublicKey(publicKey) })), { role: "operator", key: formatPublicKey(OPERATOR.publicKey) }],
};

export type MadeObject = { key: string; listed: ListedObject; bytes: Buffer };

export function madeObject(kind: ObjectKind, minutes: number, sizeBytes: number): MadeObject {
  const bytes = noise(sizeBytes, minutes);
  const id = idAt(minutes);
  const head = { lengthBytes: HEAD_BYTES, sha256: digest(bytes.subarray(0, HEAD_BYTES)) };
  return { key: objectKey(HOST, kind, id), bytes, listed: { id, kind, sizeBytes, sha256: digest(bytes), head, set: 0 } };
}

export type MadeManifest = { key: string; id: string; bytes: Buffer; objects: MadeObject[] };

/** `by` signs in place of the pinned signer. */
export function madeManifest(type: ManifestHeader["type"], minutes: number, objects: MadeObject[], previous: ManifestHeader["previous"] = null, by = signer): MadeManifest {
  const id = idAt(minutes);
  const list = encodeObjectList(objects.map(({ listed }) => listed));
  const at = new Date(BEGAN_MS).toISOString();
  const [root] = objects;
  if (root === undefined) throw new Error("an archive without objects");
  const header: ManifestHeader = {
    type, format: 1, vault: VAULT, host: HOST, id, writer: "0".repeat(32), signer: formatPublicKey(by.publicKey), sequence: idTimeMs(id), previous,
    startedAt: at, finishedAt: at, tool: "test", status: type === "manifest" ? "complete" : "unfinished",
    root: { object: root.listed.id, offset: 0, length: 1, size: 1, sha256: digest(Buffer.alloc(0)) },
    totals: { entries: 1, sourceBytes: 1, storedBytes: 1, addedBytes: 1 }, recipientSets: [[]],
    objects: { count: objects.length, size: list.length, sha256: digest(list) },
  };
  return { key: objectKey(HOST, type === "manifest" ? "archive" : "checkpoint", id), id, objects, bytes: signedObject(by.privateKey, type, encodeManifestHeader(header), list) };
}

export function stranger(): ReturnType<typeof newSigner> {
  return newSigner();
}

type Said = { kind: "expire" | "hold"; archive: MadeManifest } | { kind: "revoke"; revoked: Signer; last: MadeManifest };

/** A record by the operator, as bytes under its key. */
export function madeRecord(minutes: number, said: Said): { key: string; bytes: Buffer } {
  const id = idAt(minutes);
  const shared = { type: "record", format: 1, vault: VAULT, host: HOST, id, at: new Date(BEGAN_MS).toISOString(), reason: "", signer: formatPublicKey(OPERATOR.publicKey) } as const;
  return { key: objectKey(HOST, "record", id), bytes: signedObject(OPERATOR.privateKey, "record", encodeRecord({ ...shared, ...saidFields(said) })) };
}

function saidFields(said: Said) {
  switch (said.kind) {
    case "expire":
      return { kind: said.kind, archive: said.archive.id, manifest: lineDigest(said.archive), previous: null };
    case "hold":
      return { kind: said.kind, archive: said.archive.id };
    case "revoke":
      return { kind: said.kind, revoked: formatPublicKey(said.revoked.publicKey), last: { id: said.last.id, sha256: lineDigest(said.last) } };
  }
}

function lineDigest({ bytes }: MadeManifest): string {
  return digest(bytes.subarray(0, bytes.indexOf(10)));
}

/** What every region holds: two archives that share a volume, and a checkpoint of an unfinished run. One volume is larger than a part of a read. */
export const CATALOGS = [madeObject("catalog", 1, 700), madeObject("catalog", 11, 900)] as const;
export const VOLUMES = [madeObject("volume", 2, 2000), madeObject("volume", 3, 5 * 1024 * 1024), madeObject("volume", 12, 1500), madeObject("volume", 22, 800)] as const;
export const OLD = madeManifest("manifest", 4, [CATALOGS[0], VOLUMES[0], VOLUMES[1]]);
export const NEW = madeManifest("manifest", 14, [CATALOGS[1], VOLUMES[1], VOLUMES[2]], { id: OLD.id, sha256: lineDigest(OLD) });
export const UNFINISHED = madeManifest("checkpoint", 24, [CATALOGS[1], VOLUMES[3]]);
export const OBJECTS: readonly MadeObject[] = [...CATALOGS, ...VOLUMES];
export const MANIFESTS: readonly MadeManifest[] = [OLD, NEW, UNFINISHED];

export type Damage = "none" | "missing" | "flipped" | "truncated" | "longer";

export function damage(bucket: FakeBucket, key: string, how: Damage): void {
  const bytes = bucket.get(key);
  if (how === "none" || bytes === undefined) return;
  if (how === "missing") bucket.delete(key);
  else if (how === "flipped") bucket.flip(key, Math.floor(bytes.length / 2));
  else bucket.set(key, how === "truncated" ? bytes.subarray(0, bytes.length - 7) : Buffer.concat([bytes, Buffer.from("more")]));
}

/** Regions of one fake server, one bucket each. */
export class MadeVault {
  readonly fake: FakeS3;
  readonly names: readonly string[];

  private constructor(fake: FakeS3, names: readonly string[]) {
    this.fake = fake;
    this.names = names;
  }

  static async start(...names: string[]): Promise<MadeVault> {
    const fake = await startFakeS3({ buckets: names });
    afterUse(() => void fake.stop());
    const vault = new MadeVault(fake, names);
    for (const name of names) vault.fill(name);
    return vault;
  }

  bucket(name: string): FakeBucket {
    return this.fake.bucket(name);
  }

  /** As after nights without a fault. */
  fill(name: string, storageClass?: string): void {
    const bucket = this.bucket(name);
    for (const key of bucket.versionedKeys()) bucket.delete(key);
    bucket.set("coldkeep.json", encodeVaultMarker(VAULT, new Date(BEGAN_MS).toISOString()));
    for (const { key, bytes } of [...readRecoveryFiles(), ...OBJECTS, ...MANIFESTS]) bucket.set(key, bytes, key.includes("/volumes/") ? storageClass : undefined);
  }

  /** Keys that a region holds with other bytes than they should have, or not at all. */
  wrong(name: string): string[] {
    return [...OBJECTS, ...MANIFESTS].filter(({ key, bytes }) => this.bucket(name).get(key)?.equals(bytes) !== true).map(({ key }) => key);
  }

  async repair(options: { dryRun?: boolean; quick?: boolean; region?: string; signer?: Signer; away?: readonly string[]; signal?: AbortSignal; retryMs?: number; keeping?: Keeping } = {}): Promise<RepairReport & { said: string[] }> {
    const said: string[] = [];
    const { dryRun = false, quick = false, region, signer: by, away = [], signal = new AbortController().signal, retryMs = 50, keeping = {} } = options;
    const specs = this.names.map((name) => ({ name, url: fakeS3Url(this.fake, name), retryMs, deadlineMs: 60_000, keys: this.fake.keys, keeping }));
    const regions: Region[] = await openRegions(specs, () => undefined);
    try {
      const vault = { regions, reachable: regions.filter(({ name }) => !away.includes(name)), trust: TRUST };
      const report = await repairVault({
        vault, hosts: [HOST], region, quick, dryRun, signer: by, signal,
        emit: (event) => {
          if (event.kind === "warning") said.push(event.message);
        },
      });
      return { ...report, said };
    } finally {
      closeRegions(regions);
    }
  }

  /** Keys that were put since the last call, as `region key`. */
  takePuts(): string[] {
    const puts = this.fake.requests.filter(({ operation, status }) => operation === "PutObject" && status === 200).map(({ bucket, key }) => `${bucket} ${key}`);
    this.fake.requests.length = 0;
    return puts;
  }
}
