import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { ColdkeepError } from "../../../src/errors.ts";
import type { EngineEvent } from "../../../src/engine/events.ts";
import { ObjectSource } from "../../../src/engine/object-source.ts";
import { closeRegions, openRegions } from "../../../src/engine/region.ts";
import type { ListedObject } from "../../../src/format/manifest.ts";
import { objectKey } from "../../../src/format/object-key.ts";
import { afterUse, tempDir } from "../../support/temp-dir.ts";

const BYTES = Buffer.from("the bytes of a volume");
const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const OBJECT: ListedObject = { id: "20261123t184112345z-aaaaaaaaaaaaaaaa", kind: "volume", sizeBytes: BYTES.length, sha256: digest(BYTES), head: { lengthBytes: 3, sha256: digest(BYTES.subarray(0, 3)) }, set: 0 };

/** Regions `a` and `b` in directories; null: the object is missing there. */
async function sourceOf(a: Buffer | null, b: Buffer | null): Promise<{ source: ObjectSource; said: string[]; path: (region: string) => string }> {
  const root = tempDir();
  const path = (region: string): string => join(root, region, objectKey("web1", "volume", OBJECT.id));
  for (const [region, bytes] of [["a", a], ["b", b]] as const) {
    mkdirSync(dirname(path(region)), { recursive: true });
    if (bytes !== null) writeFileSync(path(region), bytes);
  }
  const specs = ["a", "b"].map((name) => ({ name, url: `file://${root}/${name}`, retryMs: 100, deadlineMs: 10_000 }));
  const regions = await openRegions(specs, () => undefined);
  afterUse(() => closeRegions(regions));
  const said: string[] = [];
  const source = new ObjectSource("web1", regions, (event: EngineEvent) => {
    if (event.kind === "warning") said.push(event.message);
  });
  return { source, said, path };
}

test("a whole object comes from the first region that has it right; each bad one is named once", async () => {
  const { source, said } = await sourceOf(Buffer.from("the bytes of a VOLUME"), BYTES);
  for (let i = 0; i < 2; i++) expect((await source.whole(OBJECT)).equals(BYTES)).toBe(true);
  expect(said).toEqual([expect.stringMatching(/^region "a": .* does not match its digest$/), `volume ${OBJECT.id} is bad in region "a" and taken from region "b"`]);
  expect([...source.damaged]).toEqual([`a ${OBJECT.id}`]);
});

test("right nowhere is E_OBJECT with the reason in each region", async () => {
  const { source } = await sourceOf(null, BYTES.subarray(1));
  await expect(source.whole(OBJECT)).rejects.toMatchObject({ code: "E_OBJECT", message: expect.stringMatching(/right in no region: region "a": .*; region "b": .*has 20 bytes and should have 21/) });
});

test("while a region that may have it does not answer, nothing is lost", async () => {
  const { source, said, path } = await sourceOf(null, null);
  rmSync(dirname(path("b")), { recursive: true });
  rmSync(path("b").replace(/\/hosts.*/, ""), { recursive: true });
  await expect(source.fill(OBJECT, 0, Buffer.alloc(3))).rejects.toMatchObject({ code: "E_STORE", message: expect.stringContaining("cannot be read now") });
  await expect(source.head(OBJECT)).rejects.toMatchObject({ code: "E_STORE" });
  // What does not answer is named once, and is no damage.
  expect(said.filter((message) => message.includes("other regions are asked instead")).length).toBe(1);
  expect([...source.damaged]).toEqual([`a ${OBJECT.id}`]);
});

test("of a bad copy other ranges are still asked for, last, and never the range that was wrong", async () => {
  const { source } = await sourceOf(BYTES, BYTES);
  expect(await source.noteBad("a", OBJECT, "wrong")).toBe(false);
  const room = Buffer.alloc(5);
  expect(await source.fill(OBJECT, 4, room)).toBe("b");
  expect(room.toString()).toBe("bytes");
  expect(await source.fill(OBJECT, 4, room, { except: new Set(["b"]) })).toBe("a");
  await expect(source.fill(OBJECT, 4, room, { except: new Set(["a", "b"]) })).rejects.toMatchObject({ code: "E_OBJECT" });
});

test("a check that fails takes the next region; a failure that is no damage ends it", async () => {
  const { source } = await sourceOf(Buffer.from("THE bytes of a volume"), BYTES);
  const small = (bytes: Buffer): string => {
    if (bytes.toString() !== "the") throw new ColdkeepError("E_OBJECT", "wrong tag");
    return bytes.toString();
  };
  expect(await source.checkedRange(OBJECT, 0, 3, small)).toBe("the");
  expect([...source.damaged]).toEqual([`a ${OBJECT.id}`]);
  expect((await source.head(OBJECT)).toString()).toBe("the");
  const refuse = (): never => {
    throw new ColdkeepError("E_IDENTITY", "no identity matches");
  };
  await expect(source.checkedRange(OBJECT, 4, 3, refuse)).rejects.toMatchObject({ code: "E_IDENTITY" });
});
