/** One bit flipped, anywhere in anything stored: it is found, the other region is used, and nothing wrong is ever written. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Chance, seedOfRun } from "../support/chance.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import { runInProcess } from "../support/in-process.ts";
import { contentOfDirectory } from "../support/invariants.ts";
import { treeDigest } from "../support/program.ts";
import { fileTempDir, removeTree } from "../support/temp-dir.ts";
import type { RestoreDocument } from "../support/restore.ts";

/** Flips in a run; `COLDKEEP_FLIPS=all` tries every byte. */
const FLIPS = process.env["COLDKEEP_FLIPS"] ?? "40";
const RESTORES = FLIPS === "all" ? 200 : Math.ceil(Number(FLIPS) / 5);

type Place = { key: string; at: number; bit: number };

let host: TestHost;
let places: Place[];
const chance = new Chance(seedOfRun());

beforeAll(async () => {
  host = await setUpHost({ dir: fileTempDir(), tree: { "a.txt": "alpha", "b/c.txt": "gamma" } });
  await host.backup();
  writeFileSync(join(host.source, "d.txt"), "delta");
  await host.backup();
  const objects = [...contentOfDirectory(host.region("a"))].filter(([key]) => /^hosts\/web1\/(archives|catalogs|volumes)\//.test(key));
  const all = objects.flatMap(([key, bytes]) => Array.from(bytes, (_, at): Place => ({ key, at, bit: 0 })));
  places = chance.shuffled(all).slice(0, FLIPS === "all" ? all.length : Number(FLIPS)).map((place) => ({ ...place, bit: 1 << chance.below(8) }));
});

async function withFlip<T>(regions: readonly string[], { key, at, bit }: Place, use: () => Promise<T>): Promise<T> {
  const before = regions.map((region) => [join(host.region(region), key), readFileSync(join(host.region(region), key))] as const);
  for (const [path, bytes] of before) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ bit;
    writeFileSync(path, flipped);
  }
  try {
    return await use();
  } finally {
    for (const [path, bytes] of before) writeFileSync(path, bytes);
  }
}

async function restored(): Promise<{ document: RestoreDocument; status: number | null; tree: string | null; wrong: string[] }> {
  const out = join(host.dir, "out");
  removeTree(out);
  const run = await runInProcess(["restore", "--json", "--kit", host.movedKit, "--to", out]);
  const root = out + host.source;
  const files = existsSync(root) ? readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(root, name)).isFile()) : [];
  const wrong = files.filter((name) => !readFileSync(join(root, name)).equals(readFileSync(join(host.source, name))));
  return { document: run.json<RestoreDocument>(), status: run.status, tree: files.length === 0 ? null : treeDigest(root), wrong };
}

describe("one flipped bit", () => {
  test("is found by verify, which names the region and the object", async () => {
    expect(await runInProcess(["verify", "--json", "--all", "--level", "checksum", "--kit", host.movedKit])).toMatchObject({ status: 0 });
    const missed: string[] = [];
    for (const place of places) {
      const run = await withFlip(["a"], place, () => runInProcess(["verify", "--json", "--all", "--level", "checksum", "--kit", host.movedKit]));
      const id = /\/([^/.]+)\.[a-z.]+$/.exec(place.key)?.[1] ?? "none";
      if (run.status !== 3 || !run.stdout.includes(id) || !/"a":\{"state":"(?:damaged|behind)"/.test(run.stdout)) missed.push(`${place.key} ${place.at}: exit ${run.status} ${run.stdout.slice(0, 600)}`);
    }
    expect(missed).toEqual([]);
  }, 3_600_000);

  test("in one region costs a restore nothing; in the same place of both it is said, and no file is wrong", async () => {
    const sound = treeDigest(host.source);
    for (const place of places.slice(0, RESTORES)) {
      const one = await withFlip(["a"], place, restored);
      expect(one, JSON.stringify(place)).toMatchObject({ status: 0, tree: sound, wrong: [] });
      const both = await withFlip(["a", "b"], place, restored);
      expect(both.wrong, JSON.stringify(place)).toEqual([]);
      // A flip in an older archive is none of the latest's business.
      if (both.status === 0) expect(both.tree).toBe(sound);
      else expect(both.document.error?.code ?? both.document.status, JSON.stringify(place)).toMatch(/^(?:E_OBJECT|E_FORMAT|E_SIGNER|E_REFUSED|E_NOT_FOUND|partial)$/);
    }
  }, 3_600_000);
});
