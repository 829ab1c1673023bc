import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { HeaderOpener, HeaderSealer } from "../../../src/codec/age-header.ts";
import { newIdentity } from "../../../src/codec/age-keys.ts";
import { PayloadSealer } from "../../../src/codec/age-payload.ts";
import { compressFrame } from "../../../src/codec/zstd.ts";
import type { ByteRange } from "../../../src/engine/restore/messages.ts";
import { planFetch, type WantedPiece } from "../../../src/engine/restore/unpack-job.ts";
import { UnpackRoom } from "../../../src/engine/restore/unpack-room.ts";
import { VolumeJob } from "../../../src/engine/restore/volume-job.ts";
import type { ListedObject } from "../../../src/format/manifest.ts";
import { noise } from "../../support/host.ts";

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const FRAMES = 8;
const FRAME_BYTES = 700_000;

let opener: HeaderOpener;
let sealed: Buffer;
let object: ListedObject;
const frames: { position: number; length: number; content: Buffer }[] = [];

beforeAll(async () => {
  const { identity, recipient } = await newIdentity({ pq: false });
  opener = await HeaderOpener.create([identity]);
  const { head, payloadKey } = await (await HeaderSealer.create([recipient])).seal();
  const target = Buffer.alloc(8 * 1024 * 1024);
  const sealer = new PayloadSealer(head, payloadKey, target);
  let position = 0;
  for (let i = 0; i < FRAMES; i++) {
    const content = noise(FRAME_BYTES, i + 1);
    const frame = compressFrame(content, 3);
    sealer.push(frame);
    frames.push({ position, length: frame.length, content });
    position += frame.length;
  }
  const { length, sha256 } = sealer.finish();
  sealed = Buffer.from(target.subarray(0, length));
  object = { id: "20261123t184112345z-aaaaaaaaaaaaaaaa", kind: "volume", sizeBytes: length, sha256, head: { lengthBytes: head.length, sha256: digest(head) }, set: 0 };
});

type Asked = ByteRange & { number: number };

/** A job over some frames, one file in each, and what it asks for and writes. */
function start(wanted: readonly number[]): { job: VolumeJob; asked: Asked[]; written: string[]; bad: number[] } {
  const asked: Asked[] = [];
  const written: string[] = [];
  const bad: number[] = [];
  const pieces = wanted.map((i): WantedPiece => {
    const frame = frames[i];
    if (frame === undefined) throw new Error(`no frame ${i}`);
    const content = frame.content.subarray(1000, 2000);
    return {
      path: `/${i}`, frame: [frame.position, frame.length], offset: 1000, length: 1000, sha256: digest(content),
      write: (bytes) => {
        expect(bytes.equals(content)).toBe(true);
        written.push(`/${i}`);
      },
    };
  });
  const job = new VolumeJob(object, pieces, { bytes: 0, files: 0 }, {
    need: (ranges) => ranges.forEach((range) => asked.push({ ...range, number: asked.length })),
    taken: () => undefined,
    bad: (number) => bad.push(number),
    openHead: (head) => opener.open(head),
    room: new UnpackRoom(),
  });
  return { job, asked, written, bad };
}

/** The bytes of a range, its own copy: a job gives memory back. */
function bytesOf({ offset, length }: ByteRange, from = sealed): Buffer {
  return Buffer.from(new Uint8Array(from.subarray(offset, offset + length)).buffer);
}

const all = Array.from({ length: FRAMES }, (_, i) => i);

describe("what is asked for", () => {
  test("the head and the ranges, near frames in one, of a few MiB each", () => {
    const whole = start(all).asked;
    expect(whole.length).toBe(3);
    expect(Math.max(...whole.map(({ length }) => length))).toBeLessThan(4.2 * 1024 * 1024);
    expect(whole.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(sealed.length + 200_000);
    const { asked } = start([1, 2, 6]);
    expect(asked.length).toBe(3);
    expect(asked[0]).toMatchObject({ offset: 0, length: object.head.lengthBytes });
    expect(asked.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(3.5 * FRAME_BYTES);
  });

  test("frames outside the object are nobody's bytes", () => {
    const piece = (position: number, length: number): WantedPiece => ({ path: "/x", frame: [position, length], offset: 0, length: 1, sha256: "", write: () => undefined });
    expect(planFetch(object, [piece(2 ** 40, 10), piece(0, 0), piece(sealed.length - 100, 200)])).toMatchObject({ ranges: [], impossible: [{}, {}, {}] });
    expect(() => planFetch({ ...object, sizeBytes: 10 }, [])).toThrow("no age payload");
  });
});

describe("what is written", () => {
  test("of all ranges, everything", async () => {
    const { job, asked, written } = start(all);
    for (const range of asked) await job.take(range.number, bytesOf(range), "a");
    expect(written).toEqual(all.map((i) => `/${i}`));
    expect(job).toMatchObject({ isOver: true, written: { bytes: 1000 * FRAMES } });
    expect(job.lost.size).toBe(0);
  });

  test("of ranges that come before the head, nothing until it is there", async () => {
    const { job, asked, written } = start([1, 6]);
    for (const range of asked.slice(1)) await job.take(range.number, bytesOf(range), "a");
    expect({ written, isOver: job.isOver }).toEqual({ written: [], isOver: false });
    for (const range of asked.slice(0, 1)) await job.take(range.number, bytesOf(range), "a");
    expect({ written, isOver: job.isOver }).toEqual({ written: ["/1", "/6"], isOver: true });
  });

  test("bytes that are wrong are bad in their region, and not written", async () => {
    const { job, asked, written, bad } = start([1, 6]);
    const wrong = Buffer.from(sealed);
    for (const { offset, length } of asked) wrong.writeUInt8(wrong.readUInt8(offset + (length >> 1)) ^ 1, offset + (length >> 1));
    for (const range of asked) await job.take(range.number, bytesOf(range, wrong), "a");
    // Nothing can be said of the ranges before the head is right.
    expect({ bad, written }).toEqual({ bad: [0], written: [] });
    for (const range of asked.slice(0, 1)) await job.take(range.number, bytesOf(range), "b");
    expect({ bad, written }).toEqual({ bad: [0, 1, 2], written: [] });
  });
});

describe("what no region has right", () => {
  test("is asked for again frame by frame, and only what is bad everywhere is lost", async () => {
    const { job, asked, written } = start(all);
    for (const { number } of asked.slice(1)) job.unavailable(number);
    expect(asked.length).toBe(3 + FRAMES);
    for (const range of [...asked.slice(0, 1), ...asked.slice(3)]) {
      if (range.number === 6) job.unavailable(range.number);
      else await job.take(range.number, bytesOf(range), "a");
    }
    expect(job.isOver).toBe(true);
    expect([...job.lost]).toEqual(["/3"]);
    expect(written.length).toBe(FRAMES - 1);
  });

  test("a head: all is lost, at once", () => {
    const { job, written } = start([1, 6]);
    job.unavailable(0);
    expect([...job.lost]).toEqual(["/1", "/6"]);
    expect({ isOver: job.isOver, written }).toEqual({ isOver: true, written: [] });
  });
});
