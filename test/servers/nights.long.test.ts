/** What a night costs in which nothing, or next to nothing, has changed. */
import { createCipheriv } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { tempDir } from "../support/program.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { Host } from "./rgw-vault.ts";

const FILES = 100_000;
const NIGHTS = 60;
const PAGE_BYTES = 8192;
/** A file whose inode changed this shortly before a run is read again by the next one, by design. */
const SETTLE_MS = 3100;

type Report = { archive: string; filesNew: number; filesChanged: number; filesUnchanged: number; bytesStored: number; bytesRead: number };

/** Size of everything a directory region holds, and how many objects its newest archive needs. */
function regionState(folder: string): { bytes: number; objectsNeeded: number } {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const bytes = paths.reduce((sum, path) => sum + statSync(path).size, 0);
  const newest = paths.filter((path) => path.endsWith(".manifest")).sort().at(-1) ?? "";
  // A header, its signature, and a line for each object.
  return { bytes, objectsNeeded: readFileSync(newest, "utf8").trimEnd().split("\n").length - 2 };
}

async function hostWith(folder: string, source: string): Promise<Host> {
  const regions = ["north", "south"].flatMap((name) => ["--region", `${name}=file://${join(folder, "regions", name)}`]);
  return Host.create(folder, {}, ["--host", "night", "--source", source, ...regions]);
}

describe(`${FILES} files`, () => {
  // The folders above a source are entries too: the system's temporary folder changes with every program that uses it.
  const folder = fileTempDir("/var/tmp");
  const data = join(folder, "data");
  const regions = ["north", "south"].map((name) => join(folder, "regions", name));
  let host: Host;

  beforeAll(async () => {
    for (let i = 0; i < FILES; i++) {
      const dir = join(data, `d${Math.floor(i / 5000)}`, `e${Math.floor(i / 100) % 50}`);
      if (i % 100 === 0) mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, `file-${i}.conf`), `setting ${i} = ${i * 7}\n`);
    }
    host = await hostWith(folder, data);
    await sleep(SETTLE_MS);
    expect(await host.backup<Report>()).toMatchObject({ status: "complete", filesNew: expect.any(Number) });
  }, 120_000);

  /** Paths of regular files below the source that a run opened. */
  async function openedFiles(): Promise<string[]> {
    const trace = join(tempDir(), "trace");
    await host.backup(0, { wrapper: ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "512", "-e", "trace=open,openat,openat2", "-o", trace], timeoutMs: 120_000 });
    const lines = readFileSync(trace, "latin1").split("\n");
    expect(lines.some((line) => line.includes(`"${data}`) && line.includes("O_DIRECTORY"))).toBe(true);
    return lines.filter((line) => line.includes(`"${data}/`) && !line.includes("O_DIRECTORY")).map((line) => /"([^"]*)"/.exec(line)?.[1] ?? "");
  }

  test("an unchanged night opens no file, and a changed file alone is opened", async () => {
    expect(await openedFiles()).toEqual([]);
    const path = join(data, "d7/e3/file-35300.conf");
    writeFileSync(path, "another setting\n");
    expect([...new Set(await openedFiles())]).toEqual([path]);
  });

  test(`${NIGHTS} nights without changes each store less than 48 KiB and 300 bytes an object`, async () => {
    await sleep(SETTLE_MS);
    await host.backup();
    for (let night = 1; night <= NIGHTS; night++) {
      const before = regions.map(regionState);
      const report = await host.backup<Report>();
      expect(report).toMatchObject({ status: "complete", filesNew: 0, filesChanged: 0, bytesRead: 0 });
      for (const [index, region] of regions.entries()) {
        const { bytes, objectsNeeded } = regionState(region);
        expect(bytes - (before[index]?.bytes ?? 0), `night ${night}`).toBeLessThan(48 * 1024 + 300 * objectsNeeded);
      }
    }
    const catalogs = readFileSync(newestManifest(regions[0] ?? ""), "utf8").split("\n").filter((line) => line.includes('"catalog"') && line.startsWith('{"id"'));
    expect(catalogs.length).toBeGreaterThan(0);
    expect(catalogs.length).toBeLessThanOrEqual(32);
  });
});

function newestManifest(region: string): string {
  const folder = join(region, "hosts/night/archives");
  return join(folder, readdirSync(folder).sort().at(-1) ?? "");
}

describe("a file of 1 GiB", () => {
  /** Pages that compress, none like another. */
  function writePages(path: string, pages: number): void {
    const noise = createCipheriv("aes-256-ctr", Buffer.alloc(32, 1), Buffer.alloc(16));
    const zeros = Buffer.alloc(64 * 1024);
    const descriptor = openSync(path, "wx");
    const block = Buffer.alloc(64 * PAGE_BYTES);
    for (let page = 0; page < pages; page += 64) {
      const bytes = noise.update(zeros);
      for (let i = 0; i < 64; i++) block.fill(bytes.subarray(i * 1024, (i + 1) * 1024), i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
      writeSync(descriptor, block);
    }
    closeSync(descriptor);
  }

  test("of which one 8 KiB page is touched stores less than 1 MiB", async () => {
    const folder = tempDir();
    const data = join(folder, "data");
    mkdirSync(data);
    const path = join(data, "table");
    writePages(path, 1024 ** 3 / PAGE_BYTES);
    const host = await hostWith(folder, data);
    await sleep(SETTLE_MS);
    const first = await host.backup<Report>();
    expect(first.bytesRead).toBeGreaterThanOrEqual(1024 ** 3);
    const descriptor = openSync(path, "r+");
    writeSync(descriptor, Buffer.alloc(PAGE_BYTES, "another row"), 0, PAGE_BYTES, 70_000 * PAGE_BYTES);
    closeSync(descriptor);
    const before = regionState(join(folder, "regions/north")).bytes;
    const second = await host.backup<Report>();
    expect(second).toMatchObject({ filesChanged: 1 });
    expect(second.bytesStored).toBeGreaterThan(1000);
    expect(second.bytesStored).toBeLessThan(1024 ** 2);
    expect(regionState(join(folder, "regions/north")).bytes - before).toBeLessThan(1024 ** 2);
  });
});
