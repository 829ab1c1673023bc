import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { type KnownObject, RunState } from "../../src/state/run-state.ts";
import { tempDir } from "../support/temp-dir.ts";

const object = (id: string): KnownObject => ({ id, kind: "volume", sizeBytes: 7, sha256: "a".repeat(64), head: { lengthBytes: 200, sha256: "b".repeat(64) }, set: 0, recipients: ["0123456789abcdef"] });

function withState<T>(dir: string, work: (state: RunState) => T): T {
  const state = new RunState(dir);
  try {
    return work(state);
  } finally {
    state.close();
  }
}

test("remembers objects, receipts, the intent and the latest archive between processes", () => {
  const dir = tempDir();
  withState(dir, (state) => {
    state.noteObjects([object("x"), object("y")]);
    state.noteReceipt("north", "x");
    state.noteReceipt("north", "x");
    for (const id of ["x", "y"]) state.noteLock("north", id, 4_000_000_000_000);
    state.noteLock("north", "y", 4_100_000_000_000);
    state.noteIntent({ id: "i", sha256: "s" });
    state.noteLatest({ id: "l", sha256: "t", sequence: 5 });
  });
  withState(dir, (state) => {
    expect([...state.objects().values()]).toEqual([object("x"), object("y")]);
    expect([...state.receipts("north")]).toEqual(["x"]);
    expect([...state.receipts("south")]).toEqual([]);
    expect([...state.locks("north")]).toEqual([["x", 4_000_000_000_000], ["y", 4_100_000_000_000]]);
    expect([...state.locks("south")]).toEqual([]);
    expect(state.intent()).toEqual({ id: "i", sha256: "s" });
    expect(state.latest()).toEqual({ id: "l", sha256: "t", sequence: 5 });
    state.clearIntent();
    state.forgetObjects(["x"]);
    expect(state.intent()).toBeUndefined();
    expect([...state.objects().keys()]).toEqual(["y"]);
    expect([...state.receipts("north")]).toEqual([]);
    expect([...state.locks("north").keys()]).toEqual(["y"]);
    state.clear();
    expect([...state.locks("north")]).toEqual([]);
    expect(state.latest()).toBeUndefined();
  });
});

test("rows that do not fit their check are left out", () => {
  const dir = tempDir();
  withState(dir, (state) => {
    state.noteObjects([object("x"), object("y")]);
    state.noteLatest({ id: "l", sha256: "t", sequence: 5 });
  });
  const database = new DatabaseSync(join(dir, "runs.db"));
  database.exec("UPDATE object SET line = replace(line, '7', '8') WHERE id = 'x'; UPDATE fact SET value = replace(value, '5', '6')");
  database.close();
  withState(dir, (state) => {
    expect([...state.objects().keys()]).toEqual(["y"]);
    expect(state.latest()).toBeUndefined();
  });
});

test("a database of garbage is begun anew", () => {
  const dir = tempDir();
  writeFileSync(join(dir, "runs.db"), Buffer.alloc(9000, 3));
  withState(dir, (state) => {
    expect(state.objects().size).toBe(0);
    state.noteObjects([object("x")]);
    expect(state.objects().size).toBe(1);
  });
});
