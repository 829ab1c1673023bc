/** A prune of buckets that keep versions, on a real server: what expires leaves no version behind, what stays is restored. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { noise } from "../support/host.ts";
import { tempDir, treeDigest } from "../support/program.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { Host, RgwVault } from "./rgw-vault.ts";

let rgw: Rgw;
let vault: RgwVault;

beforeAll(async () => {
  rgw = await startRgw([{ name: "north" }, { name: "south" }]);
  vault = await RgwVault.create(rgw);
  await vault.keepVersions();
});
afterAll(async () => {
  try {
    await vault.remove();
  } finally {
    await rgw.stop();
  }
});

test("of three archives of one day the middle one goes, with every version of its manifest, from both regions", async () => {
  const folder = tempDir();
  const source = join(folder, "source");
  mkdirSync(source);
  const host = await Host.create(folder, vault.credentials(), ["--host", "web1", "--source", source, ...vault.regionArguments("vault")]);
  const archives: { id: string; tree: string }[] = [];
  for (let n = 0; n < 3; n++) {
    writeFileSync(join(source, "file"), noise(100_000, n));
    archives.push({ id: (await host.backup<{ archive: string }>()).archive, tree: treeDigest(source) });
  }
  const [first, middle, last] = archives.map(({ id }) => id);
  const rule = ["prune", "--kit", host.kit, "--keep", "daily=9,keepMin=1"];
  type Document = { hosts: { archives: { archive: string; verdict: string }[]; done: { regions: { manifests: number; freedBytes: number }[] } | null }[] };
  const dry = (await host.run([...rule, "--dry-run"], 0)).json<Document>();
  expect(dry.hosts[0]?.archives.map(({ archive, verdict }) => `${archive} ${verdict}`)).toEqual([`${last} keep`, `${middle} expire`, `${first} keep`]);
  const done = (await host.run(rule, 0)).json<Document>();
  for (const region of done.hosts[0]?.done?.regions ?? []) expect(region).toMatchObject({ manifests: 1, freedBytes: expect.any(Number) });
  for (const index of [0, 1]) {
    const names = (await vault.versions(index, "vault")).map(({ name }) => name).filter((name) => name.includes("/archives/"));
    expect(names).toEqual([first, last].map((id) => `vault/hosts/web1/archives/${id}.manifest`));
    expect((await vault.versions(index, "vault")).some(({ name }) => name.includes(`/expired/${middle}`))).toBe(true);
  }
  for (const { id, tree } of archives.filter((each) => each.id !== middle)) {
    const out = join(tempDir(), "out");
    await host.run(["restore", "--archive", id, "--kit", host.kit, "--to", out], 0);
    expect(treeDigest(out + source)).toBe(tree);
  }
});
