/** Whatever bytes a store, a disk or a person hands over: every parser takes them or refuses them, soon, and does nothing else. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { JOURNAL_FOLDER, RestoreJournal } from "../../src/engine/restore/journal.ts";
import { ContentIndex } from "../../src/state/content-index.ts";
import { HeadCache } from "../../src/state/head-cache.ts";
import { RunState } from "../../src/state/run-state.ts";
import { seedOfRun } from "../support/chance.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { damagedBytes } from "./mutations.ts";
import { addSealedParsers, checkManners, PARSERS } from "./stored-parsers.ts";
import { HEADER, MANIFEST } from "./stored-samples.ts";

/** Executions of each parser; the soak takes more. */
const RUNS = 300;

beforeAll(addSealedParsers);

test.each([...Object.keys(PARSERS), "age header, opened", "age payload", "chunks of an age payload", "tar stream"])("%s: a value or a refusal", async (name) => {
  const { valid = [], parse } = PARSERS[name] ?? {};
  if (parse === undefined || valid.length === 0) throw new Error(`no parser ${name}`);
  // What is valid must reach the end of the parser, or nothing below would test it. A kit is no list of secrets, a header no signature.
  if (!["sealed part of a kit", "signature", "object list", "manifest, whole", "list of extents"].includes(name)) for (const bytes of valid) await parse(Buffer.from(bytes));
  const before = process.memoryUsage().rss;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...valid).chain((bytes) => damagedBytes(bytes)), (bytes) => checkManners(name, parse, bytes)),
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
