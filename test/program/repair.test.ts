/** repair from outside: a region that lost objects is made whole without any identity; what is lost everywhere is recorded and stored again. */
import { globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { tempDir, treeDigest } from "../support/program.ts";

type RepairDocument = {
  schemaVersion: number;
  dryRun: boolean;
  regions: Record<string, { state: string; copied: number }>;
  copies: { kind: string; key: string; region: string; state: string; from: string[] }[];
  lost: { object: string; isRecorded: boolean; archives: string[] }[];
  recorded: number;
};

function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}

/** A kit that opens nothing: without identities, and maybe without the operator's key. */
function keylessKit(host: TestHost, withOperator: boolean): string {
  const path = join(tempDir(), "kit.txt");
  const lines = readFileSync(host.movedKit, "utf8").split("\n");
  const left = lines.filter((line) => !line.startsWith("AGE-SECRET-KEY-") && (withOperator || !line.startsWith("# operator-key:")));
  expect(left.length).toBe(lines.length - (withOperator ? 1 : 2));
  writeFileSync(path, left.join("\n"), { mode: 0o600 });
  return path;
}

const placesOf = (host: TestHost, region: string): string[] => globSync(join(host.region(region), "hosts/web1/{archives,catalogs,volumes}/*")).toSorted();

test("a region without half of its objects, its manifests and with a damaged one is whole again, byte for byte, by a kit without any identity", async () => {
  const host = await setUpHost({ tree: { "big.bin": noise(1 << 20, 1), "old.txt": "old" } });
  await host.backup();
  writeFileSync(join(host.source, "young.txt"), "young");
  await host.backup();
  const before = treeDigest(host.region("b"), { omit: ["mtime", "root"] });
  placesOf(host, "b").forEach((path, i) => (i % 2 === 0 ? rmSync(path) : flip(path)));
  const kit = keylessKit(host, false);
  const dry = await host.run(["repair", "--dry-run", "--kit", kit]);
  expect(dry).toMatchObject({ status: 0, stdout: "" });
  expect(dry.stderr).toMatch(/region "b": volume hosts\/web1\/volumes\/\S+, [\d.]+ \w+, from "a": /);
  const repaired = await host.run(["repair", "--json", "--kit", kit]);
  const document = repaired.json<RepairDocument>();
  expect(repaired.status).toBe(0);
  expect(document).toMatchObject({ schemaVersion: 1, dryRun: false, regions: { a: { state: "whole", copied: 0 }, b: { state: "repaired", copied: placesOf(host, "a").length } }, lost: [] });
  expect(document.copies.every(({ region, state, from }) => region === "b" && state === "copied" && from.join() === "a")).toBe(true);
  expect(treeDigest(host.region("b"), { omit: ["mtime", "root"] })).toBe(before);
  expect(await host.run(["verify", "--all", "--config", host.config])).toMatchObject({ status: 0 });
  // A directory without its marker is given it back where archives prove it; an empty one may be a mount point without its disk.
  rmSync(join(host.region("b"), "coldkeep.json"));
  expect(await host.run(["repair", "--quick", "--kit", kit])).toMatchObject({ status: 0 });
  expect(treeDigest(host.region("b"), { omit: ["mtime", "root"] })).toBe(before);
  renameSync(host.region("b"), `${host.region("b")}-away`);
  mkdirSync(host.region("b"));
  expect(await host.run(["repair", "--quick", "--kit", kit])).toMatchObject({ status: 3, stderr: expect.stringMatching(/region "b": .*does not hold this vault/) });
  expect(readdirSync(host.region("b"))).toEqual([]);
  rmdirSync(host.region("b"));
  renameSync(`${host.region("b")}-away`, host.region("b"));
  // On the host itself, by its configuration: nothing is left to do, and nothing is said.
  expect(await host.run(["repair", "--config", host.config])).toMatchObject({ status: 0, stdout: "", stderr: "" });
});

test("what is bad in every region is recorded with the operator's key, the next backup stores it again, and a restore names what older archives lost", async () => {
  const small = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`small-${i}`, noise(1000, 100 + i)]));
  const host = await setUpHost({ tree: { "large.bin": noise(400_000, 3), ...small } });
  const first = (await host.backup()).document.archive ?? "";
  await host.settle();
  const [volume = ""] = host.objects("a", "volumes");
  flip(join(host.region("a"), "hosts/web1/volumes", volume));
  flip(join(host.region("b"), "hosts/web1/volumes", volume));
  const untold = await host.run(["repair", "--kit", keylessKit(host, false)]);
  expect(untold).toMatchObject({ status: 3, stderr: expect.stringMatching(/lost: volume .* is right in no region[\s\S]*hint: Run `coldkeep repair --kit FILE`/) });
  // The listing shows it at its right size: without the record, the host goes on to rely on it.
  expect((await host.backup()).document).toMatchObject({ bytesStored: expect.any(Number), filesUnchanged: expect.any(Number) });
  expect((await host.run(["verify", "--config", host.config])).status).toBe(1);
  const told = await host.run(["repair", "--json", "--kit", keylessKit(host, true)]);
  expect(told.status).toBe(3);
  expect(told.json<RepairDocument>()).toMatchObject({ recorded: 1, lost: [{ object: volume.split(".")[0], isRecorded: false, archives: expect.arrayContaining([first]) }] });
  const next = await host.backup();
  expect(next).toMatchObject({ status: 0, document: { regions: { a: "complete", b: "complete" } } });
  expect(next.document.bytesStored).toBeGreaterThan(400_000);
  expect((await host.run(["verify", "--config", host.config])).status).toBe(0);
  expect(treeDigest(await host.restored(), { omit: ["root"] })).toBe(treeDigest(host.source, { omit: ["root"] }));
  const old = await host.run(["restore", "--json", "--kit", host.movedKit, "--archive", first, "--to", join(tempDir(), "old")]);
  expect(old.status).toBe(3);
  const lost = old.json<{ lost: string[]; lostTotal: number; damaged: string[] }>();
  expect(lost.lostTotal).toBe(lost.lost.length);
  // All lie in the one frame whose byte is wrong in each copy, with the host's own configuration and keys. A document names them all, a screen some.
  expect(lost.lost.length).toBeGreaterThan(30);
  const shown = await host.run(["restore", "--kit", host.movedKit, "--archive", first, "--to", join(tempDir(), "shown")]);
  expect(shown.stderr.match(/ is lost: no region has its bytes right/g)).toHaveLength(20);
  expect(shown.stderr).toContain(`${lost.lost.length - 20} more files are lost`);
  expect(lost.damaged).toEqual([`a ${volume.split(".")[0]}`, `b ${volume.split(".")[0]}`]);
});

test("a restore reads the version that is right, where delete markers and junk hide what the signed list names", async () => {
  const north = await startFakeS3({ buckets: ["vault"] });
  onTestFinished(() => north.stop());
  const bucket = north.bucket("vault");
  bucket.isVersioned = true;
  const host = await setUpHost({ ...s3Options({ north }), tree: { "a.bin": noise(300_000, 5), "b.txt": "b" } });
  await host.backup();
  writeFileSync(join(host.source, "c.bin"), noise(100_000, 6));
  await host.backup();
  const [first = "", second = ""] = bucket.keys().filter((key) => key.includes("/volumes/"));
  const catalog = bucket.keys().findLast((key) => key.includes("/catalogs/")) ?? "";
  bucket.hide(first);
  bucket.set(second, Buffer.alloc(bucket.get(second)?.length ?? 0, 1));
  bucket.set(catalog, Buffer.from("junk"));
  const out = join(tempDir(), "out");
  const run = await host.run(["restore", "--kit", host.movedKit, "--to", out]);
  expect(run).toMatchObject({ status: 0, stderr: expect.stringMatching(/region "north": volume \S+ is hidden by something newer; version version-\d+ of it is right/) });
  expect(treeDigest(out + host.source, { omit: ["root"] })).toBe(treeDigest(host.source, { omit: ["root"] }));
  const verified = await host.run(["verify", "--level", "content", "--kit", host.movedKit]);
  expect(verified).toMatchObject({ status: 3, stderr: expect.stringContaining("hidden by something newer; an older version is right") });
  expect(await host.run(["repair", "--kit", host.movedKit])).toMatchObject({ status: 0, stderr: expect.stringMatching(/region "north": repaired; 3 objects copied/) });
  expect(await host.run(["verify", "--all", "--kit", host.movedKit])).toMatchObject({ status: 0, stderr: "" });
  expect(statSync(out).isDirectory()).toBe(true);
});

test("a region that went back to an earlier state is named in those words", async () => {
  const host = await setUpHost();
  await host.backup();
  writeFileSync(join(host.source, "young.txt"), "young");
  const newest = (await host.backup()).document.archive ?? "";
  const [oldest = ""] = host.objects("a", "archives");
  rmSync(join(host.region("a"), "hosts/web1/archives", oldest));
  rmSync(join(host.region("b"), "hosts/web1/archives", `${newest}.manifest`));
  const mixed = await host.run(["list", "--json", "--kit", host.movedKit]);
  expect(mixed.json<{ findings: { kind: string }[] }>().findings.map(({ kind }) => kind)).toEqual(["mix"]);
  expect((await host.run(["status", "--config", host.config])).stdout).toContain("mix: no region holds every archive: a lacks 1, b lacks 1 of 2");
  rmSync(join(host.region("a"), "hosts/web1/archives", `${newest}.manifest`));
  const back = await host.run(["verify", "--config", host.config]);
  expect(back.stderr).toContain(`rollback: this host committed archive ${newest}`);
  expect((await host.run(["list", "--json", "--config", host.config])).json<{ findings: { kind: string }[] }>().findings.map(({ kind }) => kind)).toEqual(["rollback"]);
});
