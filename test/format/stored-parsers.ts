/** Every parser of bytes that a store, a disk or a person hands over, each with something valid to damage. */
import { HeaderOpener, headLength, HeaderSealer } from "../../src/codec/age-header.ts";
import { newIdentity } from "../../src/codec/age-keys.ts";
import { openChunks, openWhole, PayloadSealer } from "../../src/codec/age-payload.ts";
import { verifySignature } from "../../src/codec/signer.ts";
import { compressFrame, decompressFrame, frameLength, parseFrameHead, skippableFrame } from "../../src/codec/zstd.ts";
import { parseManifest } from "../../src/engine/manifests.ts";
import { FrameReader } from "../../src/engine/verify/frame-reader.ts";
import { TarCheck } from "../../src/engine/verify/tar-check.ts";
import { ColdkeepError } from "../../src/errors.ts";
import { unescapeRaw } from "../../src/format/byte-text.ts";
import { parseCatalogRoot } from "../../src/format/catalog-root-parse.ts";
import { readDataFacts } from "../../src/format/data-facts.ts";
import { parseCatalogLine, parseExtentsText } from "../../src/format/entry-parse.ts";
import { keptContent, plainPath, volumesNamed } from "../../src/format/kept-line.ts";
import { parseKit, parseKitSecrets } from "../../src/format/kit.ts";
import { parseManifestHeader, parseObjectList } from "../../src/format/manifest.ts";
import { objectKey, parseObjectKey } from "../../src/format/object-key.ts";
import { readProfile } from "../../src/format/profile.ts";
import { parseProgramNote } from "../../src/format/program-note.ts";
import { parseRecord, RECORD_LINE_BYTES_MAX } from "../../src/format/record.ts";
import { signedMessage, splitSigned } from "../../src/format/signed-text.ts";
import { endOfArchive } from "../../src/format/tar-member.ts";
import { usualOf } from "../../src/format/usual.ts";
import { encodeVaultMarker, parseJson, parseVaultMarker } from "../../src/format/vault-marker.ts";
import { noise } from "../support/host.ts";
import { CATALOG_LINES, HEADER, HEADER_LINE, KIT, MANIFEST, NOTE_LINE, OBJECT_LIST, RECORD_LINES, ROOT, SIGNER } from "./stored-samples.ts";

/** Far above what any of them takes on a busy machine, far below an endless loop. */
const LIMIT_MS = 3000;

type Parse = (bytes: Buffer) => unknown;
const text = (parse: (text: string) => unknown): Parse => (bytes) => parse(bytes.toString("utf8"));
const TRUST = { vault: HEADER.vault, signers: [{ role: "host" as const, host: "web1", key: HEADER.signer }] };
const record = (line: Buffer): unknown => parseRecord(line, "it");

/** A JSON object, for readers of what a parser before them took. */
function jsonObject(read: (value: Record<string, unknown>) => unknown): Parse {
  return (bytes) => {
    const value = parseJson(bytes, "it");
    return typeof value === "object" && value !== null && !Array.isArray(value) ? read(value as Record<string, unknown>) : undefined;
  };
}

/** A reader that is fed in pieces, as from a network. */
function frames(bytes: Buffer): number {
  const reader = new FrameReader(bytes.length);
  let count = 0;
  for (let at = 0; at < bytes.length; at += 97) for (const frame of reader.push(bytes.subarray(at, at + 97))) count += frame.bytes.length;
  return count;
}

const plain = Buffer.concat([noise(3000, 1), Buffer.from("text ".repeat(900))]);
const frame = compressFrame(plain, 3);
const tar = Buffer.concat([tarHeader("file.txt", 700), noise(700, 3), Buffer.alloc(324), endOfArchive()]);

function tarHeader(name: string, size: number): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0);
  block.write("0000644\0", 100);
  block.write("0000000\0", 108);
  block.write("0000000\0", 116);
  block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  block.write("00000000000\0", 136);
  block.write("        0", 148);
  block.write("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

export const PARSERS: Record<string, { valid: Uint8Array[]; parse: Parse }> = {
  "manifest, whole": { valid: [MANIFEST], parse: (bytes) => parseManifest(bytes, { type: "manifest", host: "web1", id: HEADER.id }, TRUST) },
  "manifest header": { valid: [HEADER_LINE], parse: (bytes) => parseManifestHeader(bytes, "it") },
  "object list": { valid: [OBJECT_LIST], parse: (bytes) => parseObjectList(bytes, HEADER, "it") },
  "signed lines": { valid: [MANIFEST], parse: (bytes) => splitSigned(bytes, RECORD_LINE_BYTES_MAX, "it") },
  record: { valid: RECORD_LINES, parse: record },
  "catalog root": { valid: [ROOT], parse: (bytes) => parseCatalogRoot(bytes, "it") },
  "catalog line": { valid: CATALOG_LINES.map((line) => Buffer.from(line)), parse: text(parseCatalogLine) },
  "list of extents": { valid: [Buffer.from(`[${CATALOG_LINES[2]?.slice(CATALOG_LINES[2].indexOf('"extents":[') + 11, -2)}]`)], parse: text(parseExtentsText) },
  "kept line": { valid: CATALOG_LINES.map((line) => Buffer.from(line)), parse: text((line) => [plainPath(line), volumesNamed(line), keptContent(line, '{"path":"', '","type":"')]) },
  "object key": { valid: [Buffer.from(objectKey("web1", "volume", HEADER.id))], parse: text(parseObjectKey) },
  "vault marker": { valid: [encodeVaultMarker(HEADER.vault, HEADER.startedAt)], parse: (bytes) => parseVaultMarker(bytes, "it") },
  kit: { valid: [Buffer.from(KIT)], parse: text(parseKit) },
  "sealed part of a kit": { valid: [Buffer.from(KIT)], parse: text(parseKitSecrets) },
  "program note": { valid: [NOTE_LINE], parse: (bytes) => parseProgramNote(bytes, "it") },
  "octal escapes": { valid: [Buffer.from("/a\\0377\\0134b")], parse: text(unescapeRaw) },
  "machine profile": { valid: [Buffer.from('{"version":1,"os":{"id":"debian"},"services":[]}')], parse: jsonObject(readProfile) },
  "database facts": { valid: [Buffer.from('{"engine":"postgresql","name":"x"}')], parse: jsonObject((value) => readDataFacts([value])) },
  "usual figures": { valid: [Buffer.from('{"usual":{"entries":3}}')], parse: jsonObject(usualOf) },
  signature: { valid: [MANIFEST.subarray(0, 64)], parse: (bytes) => verifySignature(SIGNER.publicKey, signedMessage("manifest", HEADER_LINE), bytes) },
  "age header": { valid: [], parse: headLength },
  "zstd frame head": { valid: [frame], parse: parseFrameHead },
  "zstd frame length": { valid: [frame], parse: frameLength },
  "zstd frame": { valid: [frame, compressFrame(Buffer.alloc(100_000), 19)], parse: (bytes) => decompressFrame(bytes, 200_000) },
  "frames of a volume": { valid: [Buffer.concat([frame, frame, skippableFrame(500)])], parse: frames },
};

/** Those that need keys, which are made first. */
export async function addSealedParsers(): Promise<void> {
  const { identity, recipient } = await newIdentity({ pq: false });
  const { head, payloadKey } = await (await HeaderSealer.create([recipient])).seal();
  const target = Buffer.alloc(300_000);
  const sealer = new PayloadSealer(head, payloadKey, target);
  sealer.push(noise(150_000, 2));
  const sealed = Buffer.from(target.subarray(head.length, sealer.finish().length));
  const opener = await HeaderOpener.create([identity]);
  PARSERS["age header"]?.valid.push(head);
  PARSERS["age header, opened"] = { valid: [head], parse: (bytes) => opener.open(bytes) };
  PARSERS["age payload"] = { valid: [sealed], parse: (bytes) => openWhole(bytes, payloadKey) };
  PARSERS["chunks of an age payload"] = { valid: [sealed.subarray(0, 65_552)], parse: (bytes) => openChunks(bytes, payloadKey, 0, 150_000) };
  PARSERS["tar stream"] = {
    valid: [tar],
    parse: async (bytes) => {
      const check = await TarCheck.create();
      check.push(bytes);
      check.end();
    },
  };
}

/** Throws for anything but a value or a proper refusal, and where either takes too long. */
export async function checkManners(name: string, parse: Parse, bytes: Buffer): Promise<void> {
  const startMs = performance.now();
  try {
    await parse(bytes);
  } catch (error) {
    if (!(error instanceof ColdkeepError) || error.code === "E_INTERNAL") throw error;
  }
  const tookMs = performance.now() - startMs;
  if (tookMs > LIMIT_MS) throw new Error(`${name} took ${tookMs} ms`);
}
