/** The single executable where there is nothing else: a Debian 12 with its required packages only; and out of real buckets. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tempDir, treeDigest } from "../support/program.ts";
import { startRgw, type Rgw } from "../support/rgw.ts";
import { buildSingleFile, fetchProgram } from "../support/single-file.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";
import { noise } from "./odd-tree.ts";
import { Host, RgwVault } from "./rgw-vault.ts";

let program: string;

beforeAll(() => {
  program = buildSingleFile();
}, 120_000);

/** Unpacks a Debian's required packages; nothing in it was ever run. */
function unpackDebian(): string {
  const debian = join(fileTempDir(), "debian");
  execFileSync("debootstrap", ["--variant=minbase", "--foreign", "bookworm", debian], { stdio: "pipe" });
  // In a container debootstrap leaves a link there.
  rmSync(join(debian, "proc"), { force: true, recursive: true });
  mkdirSync(join(debian, "proc"));
  return debian;
}

/** Runs a script in the Debian as its root, without any variable but PATH. Throws, showing what it said, when it fails. */
function runInside(debian: string, script: string): string {
  const enter = 'mount -t proc proc "$1/proc" && exec env -i PATH=/usr/bin:/bin /usr/sbin/chroot "$1" /bin/sh -ec "$2"';
  const done = spawnSync("unshare", ["--mount", "sh", "-c", enter, "sh", debian, script], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`ended with ${done.status}:\n${done.stdout}\n${done.stderr}`);
  return done.stdout + done.stderr;
}

test("a bare Debian 12 archives and verifies with it, and a second one fetches it from the region and restores", () => {
  const debian = unpackDebian();
  expect(existsSync(join(debian, "usr/lib/x86_64-linux-gnu/libatomic.so.1"))).toBe(false);
  copyFileSync(program, join(debian, "usr/bin/coldkeep"));
  const tree = join(debian, "srv/tree");
  mkdirSync(tree, { recursive: true });
  makeTree(tree, { "a.txt": "alpha", "sub/b.txt": "beta", large: noise(9_000_000, 1) });
  runInside(debian, "coldkeep init --config /etc/ck/c.yaml --kit /root/kit.txt --host bare --source /srv/tree --region a=file:///var/a --region b=file:///var/b");
  runInside(debian, "mv /root/kit.txt /srv/kit.txt; coldkeep backup --config /etc/ck/c.yaml; coldkeep publish-program --config /etc/ck/c.yaml");
  runInside(debian, "coldkeep verify --level content --kit /srv/kit.txt");
  rmSync(join(debian, "usr/bin/coldkeep"));
  rmSync(join(debian, "var/a"), { recursive: true });
  expect(runInside(debian, "cd /var/b; sh recover.sh --fetch-program --to /root/coldkeep /srv/kit.txt; /root/coldkeep restore --kit /srv/kit.txt --to /srv/out")).toContain("next: /root/coldkeep restore");
  expect(treeDigest(join(debian, "srv/out/srv/tree"))).toBe(treeDigest(tree));
});

test("takes the way through buckets of Ceph RGW, one of them over TLS", async () => {
  const rgw: Rgw = await startRgw([{ name: "north" }, { name: "south", tls: true }]);
  const vault = await RgwVault.create(rgw);
  onEnd.push(async () => {
    await vault.remove();
    await rgw.stop();
  });
  const folder = tempDir();
  mkdirSync(join(folder, "data"));
  const host = await Host.create(folder, vault.credentials(), ["--host", "web9", ...vault.regionArguments("pub"), "--source", join(folder, "data")]);
  const args = ["publish-program", "--config", host.config, "--program", program];
  expect((await host.run(args, 0)).json()).toMatchObject({ regions: { north: "sent", south: "sent" } });
  expect((await host.run(args, 0)).json()).toMatchObject({ regions: { north: "present", south: "present" } });
  const script = join(folder, "script");
  mkdirSync(script);
  cpSync("src/recovery/recover.sh", join(script, "recover.sh"));
  for (const region of ["north", "south"]) {
    const kit = join(folder, `${region}.txt`);
    const others = new RegExp(`^# region: (?!${region} ).*\\n`, "gm");
    writeFileSync(kit, readFileSync(host.kit, "utf8").replaceAll(others, ""));
    const fetched = await fetchProgram(script, kit, { env: vault.credentials(region) });
    expect(fetched, fetched.said).toMatchObject({ status: 0 });
    expect(readFileSync(fetched.program).equals(readFileSync(program))).toBe(true);
  }
});

const onEnd: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of onEnd) await end();
});
