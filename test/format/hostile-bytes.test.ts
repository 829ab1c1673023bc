/** Whatever bytes a store, a disk or a person hands over: every parser takes them or refuses them, soon, and does nothing else. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { HeaderOpener, headLength, HeaderSealer } from "../../src/codec/age-header.ts";
import { newIdentity } from "../../src/codec/age-keys.ts";
import { openChunks, openWhole, PayloadSealer } from "../../src/codec/age-payload.ts";
import { verifySignature } from "../../src/codec/signer.ts";
import { compressFrame, decompressFrame, frameLength, parseFrameHead, skippableFrame } from "../../src/codec/zstd.ts";
import { parseManifest } from "../../src/engine/manifests.ts";
import { JOURNAL_FOLDER, RestoreJournal } from "../../src/engine/restore/journal.ts";
import { FrameReader } from "../../src/engine/verify/frame-reader.ts";
import { TarCheck } from "../../src/engine/verify/tar-check.ts";
import { ColdkeepError } from "../../src/errors.ts";
import { unescapeRaw } from "../../src/format/byte-text.ts";
import { parseCatalogRoot } from "../../src/format/catalog-root.ts";
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
import { ContentIndex } from "../../src/state/content-index.ts";
import { HeadCache } from "../../src/state/head-cache.ts";
import { RunState } from "../../src/state/run-state.ts";
import { seedOfRun } from "../support/chance.ts";
import { noise } from "../support/host.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { damagedBytes } from "./mutations.ts";
import { CATALOG_LINES, HEADER, HEADER_LINE, KIT, MANIFEST, NOTE_LINE, OBJECT_LIST, RECORD_LINES, ROOT, SIGNER } from "./stored-samples.ts";

/** Executions of each parser; the soak takes more. */
const RUNS = Number(process.env["COLDKEEP_FUZZ_RUNS"] ?? 300);
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

const PARSERS: Record<string, { valid: Uint8Array[]; parse: Parse }> = {
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

beforeAll(async () => {
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
});

async function expectManners(name: string, parse: Parse, bytes: Buffer): Promise<void> {
  const startMs = performance.now();
  try {
    await parse(bytes);
  } catch (error) {
    if (!(error instanceof ColdkeepError) || error.code === "E_INTERNAL") throw error;
  }
  expect(performance.now() - startMs, name).toBeLessThan(LIMIT_MS);
}

test.each([...Object.keys(PARSERS), "age header, opened", "age payload", "chunks of an age payload", "tar stream"])("%s: a value or a refusal", async (name) => {
  const { valid = [], parse } = PARSERS[name] ?? {};
  if (parse === undefined || valid.length === 0) throw new Error(`no parser ${name}`);
  // What is valid must reach the end of the parser, or nothing below would test it. A kit is no list of secrets, a header no signature.
  if (!["sealed part of a kit", "signature", "object list", "manifest, whole", "list of extents"].includes(name)) for (const bytes of valid) await parse(Buffer.from(bytes));
  const before = process.memoryUsage().rss;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...valid).chain((bytes) => damagedBytes(bytes)), (bytes) => expectManners(name, parse, bytes)),
    { numRuns: RUNS, seed: seedOfRun(), endOnFailure: true },
  );
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
}, 600_000);

/** Kept files of the state, made by the program, then damaged. */
const STATE: Record<string, { file: string; make(dir: string): void; read(dir: string): unknown }> = {
  "known objects and facts": {
    file: "runs.db",
    make: (dir) => {
      const state = new RunState(dir);
      state.noteObjects([{ id: HEADER.id, kind: "volume", sizeBytes: 1, sha256: HEADER.root.sha256, head: { lengthBytes: 1, sha256: HEADER.root.sha256 }, set: 0, recipients: [] }]);
      state.noteIntent({ id: HEADER.id, sha256: HEADER.root.sha256 });
      state.noteReceipt("north", HEADER.id);
      state.close();
    },
    read: (dir) => {
      const state = new RunState(dir);
      try {
        return [state.objects(), state.intent(), state.latest(), state.lowVolumes(), state.receipts("north"), state.locks("north")];
      } finally {
        state.close();
      }
    },
  },
  "known content": {
    file: "content.db",
    make: (dir) => {
      const index = new ContentIndex(dir);
      index.noteLearnt();
      index.close();
    },
    read: (dir) => {
      const index = new ContentIndex(dir);
      try {
        return [index.find(HEADER.root.sha256), index.contentBytes()];
      } finally {
        index.close();
      }
    },
  },
  "heads of manifests": {
    file: "heads.db",
    make: (dir) => {
      using heads = new HeadCache(dir);
      heads.note({ location: "x", key: "k", sizeBytes: 1, modifiedMs: 1 }, MANIFEST);
      heads.save();
    },
    read: (dir) => {
      using heads = new HeadCache(dir);
      return heads.find({ location: "x", key: "k", sizeBytes: 1, modifiedMs: 1 });
    },
  },
};

test.each(Object.keys(STATE))("state, %s: what is damaged is forgotten", (name) => {
  const state = STATE[name];
  if (state === undefined) throw new Error(name);
  const root = fileTempDir();
  const sound = join(root, "sound");
  mkdirSync(sound);
  state.make(sound);
  const valid = readFileSync(join(sound, state.file));
  fc.assert(
    fc.property(damagedBytes(valid), (bytes) => {
      const dir = mkdtempSync(join(root, "x"));
      writeFileSync(join(dir, state.file), bytes);
      const found = state.read(dir);
      // A head that is given back at all is the one that was noted.
      if (name === "heads of manifests" && found !== undefined) expect(Buffer.from(found as Buffer).equals(MANIFEST)).toBe(true);
    }),
    { numRuns: Math.ceil(RUNS / 10), seed: seedOfRun(), endOnFailure: true },
  );
}, 600_000);

test("the journal of a restore, damaged in any file: nothing counts as written that was not noted", () => {
  const identity = { vault: HEADER.vault, host: "web1", archive: HEADER.id, paths: [] };
  const root = fileTempDir();
  const files = ["restore.json", "done", "boot", "finishing"] as const;
  fc.assert(
    fc.property(fc.constantFrom(...files), damagedBytes(Buffer.from("volume.1\nvolume.2\n")), (file, bytes) => {
      const target = mkdtempSync(join(root, "x"));
      const journal = RestoreJournal.open(target, identity);
      for (const list of ["volume.1", "volume.2"]) journal.noteDone(list);
      writeFileSync(join(target, JOURNAL_FOLDER, file), bytes);
      const { done } = RestoreJournal.open(target, identity);
      if (file !== "done") expect([...done].filter((list) => !/^volume\.[12]$/.test(list))).toEqual([]);
    }),
    { numRuns: Math.ceil(RUNS / 10), seed: seedOfRun(), endOnFailure: true },
  );
}, 600_000);
