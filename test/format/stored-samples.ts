/** One sound example of everything that is stored or kept, for tests that damage it. */
import { encodeCatalogRoot } from "../../src/format/catalog-root.ts";
import { encodeContinuation, encodeEntry } from "../../src/format/entry.ts";
import { idTimeMs, makeId } from "../../src/format/id.ts";
import { formatKit } from "../../src/format/kit.ts";
import { encodeManifestHeader, encodeObjectList, type ListedObject, type ManifestHeader } from "../../src/format/manifest.ts";
import { encodeProgramNote } from "../../src/format/program-note.ts";
import { encodeRecord } from "../../src/format/record.ts";
import { formatPublicKey, formatSecretKey, newSigner, signedObject } from "../../src/codec/signer.ts";

const id = (n: number): string => makeId(1.7e12 + n, Buffer.alloc(10, n));
const SHA256 = "cd".repeat(32);
const VAULT = "0".repeat(32);
const TIME = "2026-11-23T18:41:12.345Z";
export const SIGNER = newSigner();
const key = formatPublicKey(SIGNER.publicKey);

const objects: ListedObject[] = [2, 3].map((n) => ({ id: id(n), kind: n === 2 ? "catalog" : "volume", sizeBytes: 1000 * n, sha256: SHA256, head: { lengthBytes: 200, sha256: SHA256 }, set: 0 }));
export const OBJECT_LIST = encodeObjectList(objects);
export const HEADER: ManifestHeader = {
  type: "manifest", format: 1, vault: VAULT, host: "web1", id: id(1), writer: "1".repeat(32), signer: key, sequence: idTimeMs(id(1)), previous: { id: id(0), sha256: SHA256 },
  startedAt: TIME, finishedAt: TIME, tool: "coldkeep 0.1.0", status: "complete", root: { object: id(2), offset: 1, length: 2, size: 3, sha256: SHA256 },
  totals: { entries: 1, sourceBytes: 2, storedBytes: 3, addedBytes: 4 }, recipientSets: [["0123456789abcdef"]], objects: { count: 2, size: OBJECT_LIST.length, sha256: SHA256 },
};
export const HEADER_LINE = encodeManifestHeader(HEADER);
export const MANIFEST = signedObject(SIGNER.privateKey, "manifest", HEADER_LINE, OBJECT_LIST);

const statement = { type: "record" as const, format: 1, vault: VAULT, host: "web1", id: id(4), signer: key, at: TIME };
export const RECORD_LINES = [
  encodeRecord({ ...statement, kind: "expire", archive: id(1), manifest: SHA256, previous: { id: id(0), sha256: SHA256 }, reason: "beyond the rule" }),
  encodeRecord({ ...statement, kind: "lost", objects: [id(2), id(3)] }),
  encodeRecord({ ...statement, kind: "hold", archive: id(1), reason: "audit" }),
];

export const ROOT = encodeCatalogRoot({
  head: { type: "catalog", format: 1, vault: VAULT, host: "web1", id: id(1), entries: 3, segments: 1, sources: ["/etc"], run: { usual: { entries: 3 } }, problems: { total: 1, items: [{ path: "/x", code: "EIO", message: "no" }] }, databases: [], profile: {} },
  segments: [{ object: id(2), offset: 0, length: 10, size: 20, sha256: SHA256, lines: 3, first: "/" }],
});

const base = { mode: 0o644, uid: 0, gid: 33, user: "root", group: "www-data", mtime: "5.000000001", ctime: "1795465239.000000000", ino: "12", dev: "2049", size: 0 };
export const CATALOG_LINES = [
  encodeEntry({ ...base, path: "/etc/hosts", type: "file", size: 4096, sha256: SHA256, extents: [{ volume: id(3), frame: [1048577, 598123], offset: 1536, length: 4096 }] }),
  encodeEntry({ ...base, path: "/raw\udcff", type: "symlink", target: "../\udcfe", xattrs: [{ name: "user.a", value: Buffer.from([0, 255]) }] }),
  encodeContinuation({ path: "/big", at: 16777216, extents: [{ zero: 1000 }, { volume: id(3), frame: [0, 9], offset: 512, chunks: [[65536, SHA256], [1, SHA256]] }] }),
];

export const NOTE_LINE = encodeProgramNote({ type: "program", format: 1, vault: VAULT, host: "web1", id: id(5), signer: key, at: TIME, version: "1.4.0", platform: "linux-x64", size: 156, sha256: SHA256 });

export const KIT = formatKit(
  {
    vault: VAULT, regions: [{ name: "north", url: "s3://bucket/prefix?endpoint=https://127.0.0.1:7480" }, { name: "usb", url: "file:///mnt/usb/vault" }],
    signers: [{ role: "host", host: "web1", key }, { role: "operator", key }], operatorKey: formatSecretKey(SIGNER.privateKey), recoverSha256: SHA256,
    credentials: [{ region: "north", accessKeyId: "AKIAEXAMPLE", secretAccessKey: "secret/key+1=" }], programSha256: [SHA256],
    identities: ["AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"],
  },
  { createdAt: TIME, notes: ["kept in the safe"] },
);
