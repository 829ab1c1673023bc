/** Volumes whose stored bytes are what the manifest says, but not what the catalog says: what only decrypting can find. */
import { generateIdentity } from "age-encryption";
import { beforeAll, describe, expect, test } from "vitest";
import { HeaderOpener, sealHeader, type SealedHead } from "../../../src/codec/age-header.ts";
import { recipientOf } from "../../../src/codec/age-keys.ts";
import { ciphertextLength, PayloadSealer } from "../../../src/codec/age-payload.ts";
import { sha256Hex } from "../../../src/codec/digest.ts";
import { compressFrame, skippableFrame } from "../../../src/codec/zstd.ts";
import type { ListedObject } from "../../../src/format/manifest.ts";
import { encodeChunkMember, endOfArchive, paddedSize } from "../../../src/format/tar-member.ts";
import { pieceListPath, PieceList, PieceListWriter, type ListedPiece } from "../../../src/engine/verify/piece-list.ts";
import { TarCheck } from "../../../src/engine/verify/tar-check.ts";
import { VolumeCheck } from "../../../src/engine/verify/volume-check.ts";
import { noise } from "../../support/host.ts";
import { tempDir } from "../../support/temp-dir.ts";

const ID = "20261123t200732452z-55eocfdyhyud4cy3";
let identity: string;
let recipient: string;

beforeAll(async () => {
  identity = await generateIdentity();
  recipient = await recipientOf(identity);
});

/** A tar member that holds a chunk. */
function member(name: string, content: Buffer): Buffer {
  const tar = Buffer.alloc(512 + paddedSize(content.length));
  encodeChunkMember(name, content.length, tar, 0);
  content.copy(tar, 512);
  return tar;
}

/** The same as a frame. */
function chunkFrame(name: string, content: Buffer): Buffer {
  return compressFrame(member(name, content), 1);
}

type Volume = { object: ListedObject; bytes: Buffer };

function seal(plain: Buffer, sealed: SealedHead): Volume {
  const bytes = Buffer.alloc(sealed.head.length + ciphertextLength(plain.length));
  const sealer = new PayloadSealer(sealed.head, sealed.payloadKey, bytes);
  sealer.push(plain);
  const { length, sha256 } = sealer.finish();
  return { bytes, object: { id: ID, kind: "volume", sizeBytes: length, sha256, head: { lengthBytes: sealed.head.length, sha256: sha256Hex(sealed.head) }, set: 0 } };
}

/** What a check says of a volume, whose bytes come in pieces of `pieceBytes` (the first one larger). */
async function faultsOf({ object, bytes }: Volume, pieces: readonly ListedPiece[], options: { with?: string; pieceBytes?: number } = {}): Promise<string[]> {
  const dir = tempDir();
  const writer = new PieceListWriter(dir);
  for (const piece of pieces) writer.add(ID, piece);
  writer.flush();
  const opener = await HeaderOpener.create([options.with ?? identity]);
  const check = new VolumeCheck(object, opener, PieceList.load(pieceListPath(dir, ID)), await TarCheck.create());
  const { pieceBytes = bytes.length } = options;
  for (let at = 0; at < bytes.length; ) {
    const length = at === 0 ? Math.max(pieceBytes, 4096) : pieceBytes;
    await check.push(bytes.subarray(at, at + length));
    at += length;
  }
  return check.faults.map(({ what }) => what);
}

const contents = [noise(3_000_000, 1), noise(700_000, 2), Buffer.from("small")];

/** Frames, one content each, and the pieces they hold. */
function frames(): { plain: Buffer; pieces: ListedPiece[] } {
  let position = 0;
  const pieces: ListedPiece[] = [];
  const made = contents.map((content, i) => {
    const frame = chunkFrame(`chunks/${i}`, content);
    pieces.push({ position, frameLength: frame.length, offset: 512, length: content.length, sha256: sha256Hex(content) });
    position += frame.length;
    return frame;
  });
  return { plain: Buffer.concat([...made, compressFrame(endOfArchive(), 1)]), pieces };
}

const padding = skippableFrame(200_000);

describe("a volume as it should be", () => {
  test.each([100_000, 1 << 20, 1 << 30])("has no fault, in pieces of %i bytes, padded or not, its pieces in any order and repeated", async (pieceBytes) => {
    const { plain, pieces } = frames();
    const shuffled = [...pieces.toReversed(), ...pieces];
    expect(await faultsOf(seal(Buffer.concat([plain, padding]), await sealHeader([recipient])), shuffled, { pieceBytes })).toEqual([]);
    expect(await faultsOf(seal(plain, await sealHeader([recipient])), pieces, { pieceBytes })).toEqual([]);
  });

  test("has no fault where frames end amid the blocks of tar, as another writer may cut them", async () => {
    const tar = Buffer.concat([...contents.map((content, i) => member(`chunks/${i}`, content)), endOfArchive()]);
    const cuts = [0, 100, 700, 701, 1_000_000, 3_000_300, tar.length];
    const cut = cuts.slice(1).map((end, i) => compressFrame(tar.subarray(cuts[i], end), 1));
    expect(await faultsOf(seal(Buffer.concat(cut), await sealHeader([recipient])), [])).toEqual([]);
  });

  test("has no fault while another is looked at in turn: they share the memory they work in", async () => {
    const volume = seal(frames().plain, await sealHeader([recipient]));
    const noPieces = PieceList.load(pieceListPath(tempDir(), ID));
    const opener = await HeaderOpener.create([identity]);
    const checks = await Promise.all([0, 1].map(async () => new VolumeCheck(volume.object, opener, noPieces, await TarCheck.create())));
    for (let at = 0; at < volume.bytes.length; at += 300_000) {
      for (const check of checks) await check.push(volume.bytes.subarray(at, at + 300_000));
    }
    expect(checks.flatMap(({ faults }) => faults)).toEqual([]);
  });
});

describe("a volume that is not what the catalog says", () => {
  const wrong: [string, (piece: ListedPiece) => ListedPiece, RegExp][] = [
    ["another digest", (piece) => ({ ...piece, sha256: "0".repeat(64) }), /does not match its digest/],
    ["a frame that begins elsewhere", (piece) => ({ ...piece, position: piece.position + 1 }), /no frame begins/],
    ["a frame of another length", (piece) => ({ ...piece, frameLength: piece.frameLength + 1 }), /no frame begins/],
    ["content beyond its frame", (piece) => ({ ...piece, length: piece.length + 4096 }), /beyond its frame/],
    ["a frame behind the end", (piece) => ({ ...piece, position: 1e9 }), /behind the last frame/],
  ];
  test.each(wrong)("%s is the one fault", async (_, change, said) => {
    const { plain, pieces } = frames();
    const listed = pieces.map((piece, i) => (i === 1 ? change(piece) : piece));
    expect(await faultsOf(seal(plain, await sealHeader([recipient])), listed)).toEqual([expect.stringMatching(said)]);
  });

  test("a frame cut short, bytes that are no frame, padding that is not zero or not the end", async () => {
    const { plain, pieces } = frames();
    const dirty = Buffer.from(padding);
    dirty.writeUInt8(1, 150_000);
    const cases: [Buffer, RegExp][] = [
      [plain.subarray(0, plain.length - 3), /zstd frame/],
      [Buffer.concat([plain, noise(5000, 9)]), /zstd frame/],
      [Buffer.concat([plain, dirty]), /padding is not zero/],
      [Buffer.concat([plain, padding, plain]), /not the padding at the end/],
    ];
    for (const [content, said] of cases) expect(await faultsOf(seal(content, await sealHeader([recipient])), pieces)).toEqual([expect.stringMatching(said)]);
  });

  test("a tar stream that another reader would refuse", async () => {
    const { pieces } = frames();
    const bare = Buffer.concat(contents.map((content, i) => chunkFrame(`chunks/${i}`, content)));
    expect(await faultsOf(seal(bare, await sealHeader([recipient])), pieces)).toEqual([expect.stringMatching(/tar stream/)]);
    const noTar = compressFrame(noise(4096, 4), 1);
    expect(await faultsOf(seal(Buffer.concat([noTar, compressFrame(endOfArchive(), 1)]), await sealHeader([recipient])), [])).toEqual([expect.stringMatching(/tar stream is malformed/)]);
  });

  test("another head, other payload bytes, and a key that opens nothing", async () => {
    const { plain, pieces } = frames();
    const volume = seal(plain, await sealHeader([recipient]));
    const other = { ...volume.object, head: { ...volume.object.head, sha256: "0".repeat(64) } };
    expect(await faultsOf({ ...volume, object: other }, pieces)).toEqual(["its head does not match its digest"]);
    expect(await faultsOf(volume, pieces, { with: await generateIdentity() })).toEqual([expect.stringMatching(/no identity matches/)]);
    volume.bytes.writeUInt8(volume.bytes.readUInt8(volume.bytes.length - 1) ^ 1, volume.bytes.length - 1);
    expect(await faultsOf(volume, pieces)).toEqual([expect.stringMatching(/age payload is damaged/)]);
  });
});
