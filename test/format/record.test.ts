import { describe, expect, test } from "vitest";
import { encodeRecord, LOST_OBJECTS_MAX, parseRecord, RECORD_LINE_BYTES_MAX, type KnownRecord } from "../../src/format/record.ts";

const ID = "20261123t010203004z-abcdefghijklmnop";
const OTHER = "20261124t010203004z-abcdefghijklmnop";
const DIGEST = "ab".repeat(32);
const STATEMENT = { type: "record" as const, format: 1, vault: "0123456789abcdef0123456789abcdef", host: "web1", id: OTHER, signer: "ed25519:abc", at: "2026-11-24T01:02:03.004Z" };
const RECORDS: KnownRecord[] = [
  { ...STATEMENT, kind: "expire", archive: ID, manifest: DIGEST, previous: { id: ID, sha256: DIGEST }, reason: "beyond the rule" },
  { ...STATEMENT, kind: "expire", archive: ID, manifest: DIGEST, previous: null, reason: "the first of its chain" },
  { ...STATEMENT, kind: "hold", archive: ID, reason: "law suit" },
  { ...STATEMENT, kind: "release", archive: ID, hold: OTHER, reason: "settled" },
  { ...STATEMENT, kind: "lost", objects: [ID, OTHER] },
  { ...STATEMENT, kind: "retire", reason: "switched off" },
  { ...STATEMENT, kind: "drill", archive: ID, depth: "kit", result: "passed", report: "" },
];

describe("a record", () => {
  test.each(RECORDS)("of kind $kind reads as it was written", (record) => {
    expect(parseRecord(encodeRecord(record), "it")).toEqual({ kind: record.kind, record });
  });

  test("of a kind this version does not know is no error, and shows as such", () => {
    const line = Buffer.from(JSON.stringify({ ...STATEMENT, kind: "bless", what: 7 }));
    expect(parseRecord(line, "it")).toMatchObject({ kind: "other", record: { kind: "bless" } });
  });

  test.each(RECORDS)("of kind $kind that lacks any of its fields, or has another type in it, is refused", (record) => {
    for (const field of Object.keys(record)) {
      for (const value of [undefined, 7.5, { x: 1 }]) {
        const line = Buffer.from(JSON.stringify({ ...record, [field]: value }));
        expect(() => parseRecord(line, "it"), `${field} = ${JSON.stringify(value)}`).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
      }
    }
  });

  test("of an archive that is no id, of a later format, or of no or too many objects is refused", () => {
    for (const change of [{ archive: "../x" }, { archive: `${ID} ` }, { format: 2 }]) {
      expect(() => parseRecord(Buffer.from(JSON.stringify({ ...RECORDS[0], ...change })), "it")).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
    }
    for (const objects of [[], Array.from({ length: LOST_OBJECTS_MAX + 1 }, () => ID), ["x"]]) {
      expect(() => parseRecord(Buffer.from(JSON.stringify({ ...STATEMENT, kind: "lost", objects })), "it")).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
    }
  });

  test("of as many lost objects as it may name fits its line; one that does not fit is never written", () => {
    const objects = Array.from({ length: LOST_OBJECTS_MAX }, () => ID);
    expect(encodeRecord({ ...STATEMENT, kind: "lost", objects }).length).toBeLessThan(RECORD_LINE_BYTES_MAX);
    expect(() => encodeRecord({ ...STATEMENT, kind: "lost", objects: [...objects, ...objects] })).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
  });
});
