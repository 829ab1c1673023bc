/** The corpora of the benchmark: the same for the same seed, and shaped as they say. */
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { MIB } from "../../src/units.ts";
import { tempDir } from "../support/temp-dir.ts";
import { CopiedTree } from "./corpus/copied-tree.ts";
import { DatabaseCorpus } from "./corpus/database.ts";
import { MediaCorpus } from "./corpus/media.ts";
import { TinyTree } from "./corpus/tiny-tree.ts";
import { TreeCorpus } from "./corpus/tree.ts";
import { treeFacts } from "./corpus/tree-facts.ts";

/** Paths, contents and targets of links, in the order of their names. */
function contentsOf(dir: string): [path: string, content: Buffer | string][] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((path) => [relative(dir, path), lstatSync(path).isSymbolicLink() ? readlinkSync(path) : readFileSync(path)]);
}

function digestOf(dir: string): string {
  const hash = createHash("sha256");
  for (const [path, content] of contentsOf(dir)) hash.update(`${path}\0`).update(content).update("\0");
  return hash.digest("hex");
}

test("the made tree repeats, has links and duplicates, compresses like real files, and changes by a hundredth", async () => {
  const dir = tempDir();
  const [one, two] = [new TreeCorpus(join(dir, "one"), 3000, 7), new TreeCorpus(join(dir, "two"), 3000, 7)];
  for (const corpus of [one, two]) await corpus.write();
  expect(digestOf(one.folder)).toBe(digestOf(two.folder));

  const contents = contentsOf(one.folder);
  const files = contents.map(([, content]) => content).filter((content) => typeof content !== "string");
  expect(contents.length).toBe(3000);
  expect(contents.length - files.length).toBeGreaterThan(60);
  expect(one.paths.some((path) => lstatSync(path).nlink > 1)).toBe(true);
  expect(new Set(files.map((content) => content.toString("latin1"))).size).toBeLessThan(files.length * 0.97);
  const whole = Buffer.concat(files);
  let compressed = 0;
  for (let at = 0; at < whole.length; at += 2 * MIB) compressed += zstdCompressSync(whole.subarray(at, at + 2 * MIB), { params: { [constants.ZSTD_c_compressionLevel]: 3 } }).length;
  expect(compressed / whole.length).toBeGreaterThan(0.22);
  expect(compressed / whole.length).toBeLessThan(0.33);

  const before = new Map(contents.map(([path, content]) => [path, content.toString("latin1")]));
  for (const corpus of [one, two]) corpus.change(100, 2);
  expect(digestOf(one.folder)).toBe(digestOf(two.folder));
  const changed = contentsOf(one.folder).filter(([path, content]) => before.get(path) !== content.toString("latin1"));
  expect(changed.length).toBeGreaterThanOrEqual(25);
  expect(changed.length).toBeLessThanOrEqual(35);
}, 60_000);

test("the file of pages repeats, compresses to about a quarter, and changes in a hundredth of its pages", async () => {
  const dir = tempDir();
  const [one, two] = [new DatabaseCorpus(join(dir, "one"), 4 * MIB, 7), new DatabaseCorpus(join(dir, "two"), 4 * MIB, 7)];
  for (const corpus of [one, two]) await corpus.write();
  const before = readFileSync(one.path);
  expect(before.equals(readFileSync(two.path))).toBe(true);
  const ratio = zstdCompressSync(before).length / before.length;
  expect(ratio).toBeGreaterThan(0.2);
  expect(ratio).toBeLessThan(0.35);
  for (const corpus of [one, two]) corpus.change(0.01, 1);
  const after = readFileSync(one.path);
  expect(after.equals(readFileSync(two.path))).toBe(true);
  const pages = Array.from({ length: before.length / 8192 }, (_, i) => [i * 8192, (i + 1) * 8192] as const);
  const changed = pages.filter(([from, to]) => !before.subarray(from, to).equals(after.subarray(from, to)));
  expect(changed.length).toBeGreaterThanOrEqual(4);
  expect(changed.length).toBeLessThanOrEqual(5);
});

test("media have the size asked for and do not compress", async () => {
  const dir = tempDir();
  const corpus = new MediaCorpus(dir, 5 * MIB + 1, 7, [MIB, 2 * MIB]);
  await corpus.write();
  expect(treeFacts(dir)).toEqual({ files: corpus.files, bytes: 5 * MIB + 1 });
  const content = readFileSync(join(dir, "album-0", "0.jpg"));
  expect(zstdCompressSync(content).length).toBeGreaterThanOrEqual(content.length);
});

test("tiny files are as many as asked for, and no two the same", async () => {
  const dir = tempDir();
  await new TinyTree(dir, 300, 7).write();
  const files = contentsOf(dir).map(([, content]) => content.toString("latin1"));
  expect(files.length).toBe(300);
  expect(new Set(files).size).toBe(300);
  const sizes = files.map((content) => content.length).toSorted((a, b) => a - b);
  expect(sizes[150]).toBeGreaterThan(100);
  expect(sizes[150]).toBeLessThan(400);
});

test("a copy of a directory changes where the copy lies, never where it came from", async () => {
  const dir = tempDir();
  const from = join(dir, "from");
  mkdirSync(join(from, "deep"), { recursive: true });
  for (let i = 0; i < 60; i++) writeFileSync(join(from, i % 2 === 0 ? "deep" : "", `file-${i}`), `content of ${i}\n`.repeat(i));
  const digest = digestOf(from);
  const copy = new CopiedTree(join(dir, "copy"), from, 7);
  await copy.write();
  expect(digestOf(copy.folder)).toBe(digest);
  expect(copy.paths.length).toBe(60);
  expect(copy.bytes).toBe(treeFacts(from).bytes);
  const before = new Map(contentsOf(copy.folder).map(([path, content]) => [path, content.toString()]));
  copy.change(4, 1);
  const changed = contentsOf(copy.folder).filter(([path, content]) => before.get(path) !== content.toString());
  expect(changed.length).toBeGreaterThan(5);
  expect(changed.length).toBeLessThan(30);
  expect(digestOf(from)).toBe(digest);
});
