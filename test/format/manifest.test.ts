/** Manifests and catalog roots: written and read back, and hostile ones refused. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CatalogRoot, encodeCatalogRoot } from "../../src/format/catalog-root.ts";
import { parseCatalogRoot } from "../../src/format/catalog-root-parse.ts";
import { idTimeMs, makeId } from "../../src/format/id.ts";
import { encodeManifestHeader, encodeObjectList, type ListedObject, type ManifestHeader, MANIFEST_HEADER_BYTES_MAX, parseManifestHeader, parseObjectList } from "../../src/format/manifest.ts";
import { accepted, damaged } from "./mutations.ts";

const id = (n: number): string => makeId(1.7e12 + n, Buffer.alloc(10, n));
const SHA256 = "cd".repeat(32);
const header: ManifestHeader = {
  type: "manifest",
  format: 1,
  vault: "0".repeat(32),
  host: "web1",
  id: id(1),
  writer: "1".repeat(32),
  signer: "ed25519:x",
  sequence: idTimeMs(id(1)),
  previous: { id: id(0), sha256: SHA256 },
  startedAt: "2026-11-23T18:41:12.345Z",
  finishedAt: "2026-11-23T18:41:13.345Z",
  tool: "coldkeep 0.1.0",
  status: "complete",
  root: { object: id(2), offset: 1, length: 2, size: 3, sha256: SHA256 },
  totals: { entries: 1, sourceBytes: 2, storedBytes: 3, addedBytes: 4 },
  recipientSets: [["0123456789abcdef"], ["0123456789abcdef", "fedcba9876543210"]],
  objects: { count: 2, size: 500, sha256: SHA256 },
};
const objects: ListedObject[] = [3, 2].map((n) => ({ id: id(n), kind: n === 2 ? "catalog" : "volume", sizeBytes: 1000 * n, sha256: SHA256, head: { lengthBytes: 200, sha256: SHA256 }, set: n - 2 }));
const refused = expect.objectContaining({ code: "E_FORMAT" });

describe("header", () => {
  test("is read back, fields it does not know left out", () => {
    const line = encodeManifestHeader(header);
    expect(parseManifestHeader(line, "it")).toEqual(header);
    expect(parseManifestHeader(Buffer.from(line.toString().replace("{", '{"later":[1],')), "it")).toEqual(header);
  });

  test("too long a one is not written", () => {
    expect(() => encodeManifestHeader({ ...header, tool: "x".repeat(MANIFEST_HEADER_BYTES_MAX) })).toThrow(refused);
  });

  test.each([
    { format: 2 }, { type: "record" }, { status: "unfinished" }, { type: "checkpoint" }, { sequence: header.sequence + 1 }, { vault: "x" }, { host: "../x" }, { id: "x" },
    { startedAt: "yesterday" }, { previous: { id: "x", sha256: SHA256 } }, { recipientSets: Array.from({ length: 9 }, () => []) }, { objects: { count: 1, size: 2 ** 40, sha256: SHA256 } },
  ])("%j is refused", (fields) => {
    expect(() => parseManifestHeader(Buffer.from(JSON.stringify({ ...header, ...fields })), "it")).toThrow(refused);
  });

  test("any damage leaves a valid header or none", () => {
    const line = encodeManifestHeader(header).toString();
    fc.assert(
      fc.property(damaged(line), (hostile) => {
        const parsed = accepted(() => parseManifestHeader(Buffer.from(hostile), "it"));
        if (parsed === undefined) return;
        expect(parsed.sequence).toBe(idTimeMs(parsed.id));
        expect(parsed.host).toMatch(/^[a-z0-9][a-z0-9.-]{0,62}$/);
        expect(parsed.format).toBe(1);
      }),
      { numRuns: 3000 },
    );
  });
});

describe("object list", () => {
  const list = encodeObjectList(objects);

  test("is sorted by id, and read back", () => {
    expect(parseObjectList(list, header, "it")).toEqual(objects.toReversed());
  });

  test("an id twice, out of order, of an unknown set, too few, or an unfinished line is refused", () => {
    const [first = "", second = ""] = list.toString().split("\n");
    for (const text of [`${first}\n${first}\n`, `${second}\n${first}\n`, `${first}\n`, `${first}\n${second}`, `${first}\n${second.replace('"set":1', '"set":2')}\n`, `${first}\n\n${second}\n`]) {
      expect(() => parseObjectList(Buffer.from(text), header, "it")).toThrow(refused);
    }
  });

  test("any damage to a line is refused, or names an object that can be", () => {
    const [first = "", second = ""] = list.toString().split("\n");
    fc.assert(
      fc.property(damaged(second), (hostile) => {
        const parsed = accepted(() => parseObjectList(Buffer.from(`${first}\n${hostile}\n`), header, "it"));
        for (const object of parsed ?? []) {
          expect(object.id).toMatch(/^\d{8}t\d{9}z-[a-z2-7]{16}$/);
          expect(header.recipientSets[object.set]).toBeDefined();
          expect(Number.isSafeInteger(object.sizeBytes)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("catalog root", () => {
  const root: CatalogRoot = {
    head: { type: "catalog", format: 1, vault: header.vault, host: "web1", id: id(1), entries: 7, segments: 3, sources: ["/etc"], run: { counts: { entries: 7 } }, problems: { total: 1, items: [{ path: "/x", code: "EACCES", message: "no" }] }, databases: [], profile: {} },
    segments: [
      { object: id(2), offset: 0, length: 10, size: 20, sha256: SHA256, lines: 3, first: "/" },
      { object: id(2), offset: 10, length: 10, size: 20, sha256: SHA256, lines: 3, first: "/big", at: 16777216 },
      { object: id(3), offset: 0, length: 10, size: 20, sha256: SHA256, lines: 1, first: "/raw\udcff" },
    ],
  };
  const bytes = encodeCatalogRoot(root);

  test("is read back, also with names that are not UTF-8", () => {
    expect(bytes.toString()).toContain("firstRaw");
    expect(parseCatalogRoot(bytes, "it")).toEqual(root);
  });

  test("segments out of order, missing or unfinished are refused, and a later format by name", () => {
    const text = bytes.toString();
    const [head = "", a = "", b = "", c = ""] = text.split("\n");
    for (const hostile of [`${head}\n${b}\n${a}\n${c}\n`, `${head}\n${a}\n${b}\n`, `${head}\n${a}\n${a}\n${c}\n`, text.slice(0, -1), "", text.replace('"first":"/"', '"last":"/"')]) {
      expect(() => parseCatalogRoot(Buffer.from(hostile), "it")).toThrow(refused);
    }
    expect(() => parseCatalogRoot(Buffer.from(text.replace('"format":1', '"format":2')), "it")).toThrow(/2/);
  });

  test("any damage leaves an ordered root or none", () => {
    const [head = "", a = "", b = "", c = ""] = bytes.toString().split("\n");
    const which = fc.constantFrom(0, 1, 2, 3).chain((n) => damaged([head, a, b, c][n] ?? "{}").map((line) => [head, a, b, c].with(n, line)));
    fc.assert(
      fc.property(which, (lines) => {
        const parsed = accepted(() => parseCatalogRoot(Buffer.from(`${lines.join("\n")}\n`), "it"));
        for (const segment of parsed?.segments ?? []) expect(Number.isSafeInteger(segment.offset) && segment.size <= 4 * 1024 * 1024).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
