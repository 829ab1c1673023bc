import { expect, test } from "vitest";
import { encodeProgramNote, parseProgramNote, PROGRAM_NOTE_LINE_BYTES_MAX, type ProgramNote } from "../../src/format/program-note.ts";

const NOTE: ProgramNote = {
  type: "program",
  format: 1,
  vault: "0123456789abcdef0123456789abcdef",
  host: "web1.example",
  id: "20261123t184112345z-abcdefghijklmnop",
  signer: "ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
  at: "2026-11-23T18:41:12.345Z",
  version: "1.4.0",
  platform: "linux-x64",
  size: 156_228_733,
  sha256: "ab".repeat(32),
};

test("is one line in the order of the format, which recover.sh relies on, and reads back", () => {
  const line = encodeProgramNote(NOTE);
  expect(line.toString()).toMatch(/^\{"type":"program","format":1,"vault":"[^"]*","host":"[^"]*","id":"[^"]*","signer":"[^"]*","at":"[^"]*","version":"[^"]*","platform":"[^"]*","size":\d+,"sha256":"[0-9a-f]{64}"\}$/);
  expect(line.length).toBeLessThan(PROGRAM_NOTE_LINE_BYTES_MAX);
  expect(parseProgramNote(line, "the note")).toEqual(NOTE);
});

test.each([
  ["type", "record"],
  ["vault", "0123"],
  ["host", "Web 1"],
  ["id", "20261123"],
  ["version", "1.4.0\",\"sha256\":\"00"],
  ["platform", "linux"],
  ["size", 0],
  ["sha256", "AB".repeat(32)],
])("refuses another %s", (field, value) => {
  const line = Buffer.from(JSON.stringify({ ...NOTE, [field]: value }));
  expect(() => parseProgramNote(line, "the note")).toThrow(/the note is malformed/);
});

test("refuses a newer format by its number", () => {
  expect(() => parseProgramNote(Buffer.from(JSON.stringify({ ...NOTE, format: 2 })), "the note")).toThrow(/format version 2/);
});
