import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readdirSync, renameSync, rmdirSync, rmSync, symlinkSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { JOURNAL_FOLDER, RestoreJournal, type RestoreIdentity } from "../../../src/engine/restore/journal.ts";
import { tempDir } from "../../support/temp-dir.ts";

const IDENTITY: RestoreIdentity = { vault: "0".repeat(32), host: "web1", archive: "20261123t184112345z-aaaaaaaaaaaaaaaa", paths: [] };

function begun(...done: string[]): string {
  const target = tempDir();
  const journal = RestoreJournal.open(target, IDENTITY);
  for (const list of done) journal.noteDone(list);
  return target;
}

const doneIn = (target: string): string[] => [...RestoreJournal.open(target, IDENTITY).done];

test("what is done counts for the same restore, and for no other", () => {
  const target = begun("one", "two.1");
  expect(doneIn(target)).toEqual(["one", "two.1"]);
  expect(doneIn(target)).toEqual(["one", "two.1"]);
  const other = { ...IDENTITY, paths: ["/etc"] };
  expect(RestoreJournal.isBegun(target, other)).toBe(false);
  expect(RestoreJournal.open(target, other)).toMatchObject({ isResumed: false, done: new Set() });
  expect(RestoreJournal.isBegun(target, IDENTITY)).toBe(false);
});

test("after another start of the machine nothing counts, until it is done again", () => {
  const target = begun("one");
  writeFileSync(join(target, JOURNAL_FOLDER, "boot"), "another");
  const journal = RestoreJournal.open(target, IDENTITY);
  expect(journal).toMatchObject({ isResumed: true, done: new Set() });
  journal.noteDone("two");
  expect(doneIn(target)).toEqual(["two"]);
});

test("once large files get their names nothing counts, until it is done again", () => {
  const target = begun("one");
  RestoreJournal.open(target, IDENTITY).noteFinishing();
  const journal = RestoreJournal.open(target, IDENTITY);
  expect(journal).toMatchObject({ isResumed: true, done: new Set() });
  journal.noteDone("two");
  expect(doneIn(target)).toEqual(["two"]);
});

test("a line cut short by a full disk is no list's name", () => {
  const target = begun("one");
  appendFileSync(join(target, JOURNAL_FOLDER, "done"), "volume.1");
  expect(doneIn(target)).toEqual(["one"]);
  RestoreJournal.open(target, IDENTITY).noteDone("volume.12");
  expect(doneIn(target)).toEqual(["one", "volume.12"]);
});

test("an end cut short anywhere is gone on with, and leaves nothing", () => {
  const ended = (target: string): void => {
    expect(RestoreJournal.isBegun(target, IDENTITY)).toBe(true);
    expect(RestoreJournal.isBegun(target, { ...IDENTITY, host: "web2" })).toBe(false);
    const journal = RestoreJournal.open(target, IDENTITY);
    expect(journal).toMatchObject({ isResumed: true, done: new Set() });
    journal.end();
    expect(readdirSync(target)).toEqual([]);
    expect(RestoreJournal.isBegun(target, IDENTITY)).toBe(false);
  };
  const trace = (target: string): string => join(target, `.coldkeep-${createHash("sha256").update(JSON.stringify(IDENTITY)).digest("hex").slice(0, 16)}.partial`);
  const [bare, moved, last] = [begun(), begun(), begun()];
  rmSync(join(bare, JOURNAL_FOLDER, "plan"), { recursive: true });
  for (const target of [moved, last]) {
    rmSync(join(target, JOURNAL_FOLDER, "plan"), { recursive: true });
    renameSync(join(target, JOURNAL_FOLDER, "restore.json"), trace(target));
  }
  rmdirSync(join(last, JOURNAL_FOLDER));
  for (const target of [bare, moved, last]) ended(target);
});

test("of all it holds its identity goes last", async () => {
  const target = begun("one");
  const journal = RestoreJournal.open(target, IDENTITY);
  journal.noteFinishing();
  const held = readdirSync(join(target, JOURNAL_FOLDER));
  const gone = new Set<string>();
  const watcher = watch(join(target, JOURNAL_FOLDER), (_, name) => {
    if (name !== null && held.includes(name)) gone.add(name);
  });
  onTestFinished(() => watcher.close());
  journal.end();
  await vi.waitFor(() => expect(gone.size).toBe(held.length));
  expect([...gone].at(-1)).toBe("restore.json");
});

test("below what is no directory there is none", () => {
  const file = join(tempDir(), "file");
  writeFileSync(file, "");
  expect(RestoreJournal.isBegun(file, IDENTITY)).toBe(false);
});

test("a link in its place is neither believed nor followed", () => {
  const [target, elsewhere] = [tempDir(), begun("one")];
  symlinkSync(join(elsewhere, JOURNAL_FOLDER), join(target, JOURNAL_FOLDER));
  expect(RestoreJournal.isBegun(target, IDENTITY)).toBe(false);
  RestoreJournal.open(target, IDENTITY).end();
  expect(readdirSync(target)).toEqual([]);
  expect(existsSync(join(elsewhere, JOURNAL_FOLDER, "done"))).toBe(true);
});
