/** Archives unlike those before them: flagged, and not taken as usual until a person says so. */
import { mkdirSync, readdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { setUpHost, type TestHost } from "../support/host.ts";

const FILES = 600;

/** Files in two folders of the source. */
async function fullHost(config = ""): Promise<TestHost> {
  const host = await setUpHost({ tree: {}, config });
  for (const folder of ["left", "right"]) {
    mkdirSync(join(host.source, folder));
    for (let i = 0; i < FILES / 2; i++) writeFileSync(join(host.source, folder, `${i}.txt`), `${folder} ${i}\n`);
  }
  return host;
}

type Listed = { archives: { status: string; flags: string[] }[] };

async function flagsListed(host: TestHost): Promise<string[][]> {
  const run = await host.run(["list", "--json", "--config", host.config]);
  return run.json<Listed>().archives.map(({ flags }) => flags);
}

describe("an archive unlike those before it", () => {
  test("is made, flagged for everyone to see, and stays flagged night after night until it is accepted", async () => {
    const host = await fullHost();
    expect(await host.backup()).toMatchObject({ status: 0, document: { flags: [] } });
    rmSync(join(host.source, "left"), { recursive: true });
    for (const name of readdirSync(join(host.source, "right")).slice(0, 100)) unlinkSync(join(host.source, "right", name));

    const first = await host.backup();
    expect(first).toMatchObject({ status: 4, document: { status: "complete", flags: [{ kind: "shrunk" }, { kind: "changed" }] } });
    expect(first.stderr).toContain("--accept-changes");
    // Nothing changes any more, and it is still not what is usual.
    expect(await host.backup()).toMatchObject({ status: 4, document: { flags: [{ kind: "shrunk" }] } });
    // Nor after the state is lost: what is usual is known from the archives.
    rmSync(host.state, { recursive: true });
    expect(await host.backup()).toMatchObject({ status: 4, document: { flags: [{ kind: "shrunk" }] } });
    expect(await flagsListed(host)).toEqual([["shrunk"], ["shrunk"], ["shrunk", "changed"], []]);
    expect((await host.run(["list", "--config", host.config])).stdout).toContain("complete, shrunk, changed");

    expect(await host.backup(["--accept-changes"])).toMatchObject({ status: 0, document: { flags: [] } });
    expect(await host.backup()).toMatchObject({ status: 0, document: { flags: [] } });
  });

  test("a dry run says so too, and stores nothing", async () => {
    const host = await fullHost();
    await host.backup();
    rmSync(join(host.source, "left"), { recursive: true });
    rmSync(join(host.source, "right"), { recursive: true });
    mkdirSync(join(host.source, "left"));
    writeFileSync(join(host.source, "left/one.txt"), "one");
    expect(await host.backup(["--dry-run"])).toMatchObject({ status: 4, document: { archive: null, flags: [{ kind: "shrunk" }, { kind: "changed" }] } });
    expect(host.objects("a", "archives")).toHaveLength(1);
  });

  test("less than safety.minSize is flagged from the first archive on", async () => {
    const host = await fullHost("safety: {minSize: 1MiB}");
    expect(await host.backup()).toMatchObject({ status: 4, document: { flags: [{ kind: "small", message: expect.stringContaining("safety.minSize") }] } });
  });
});

test("a source gone empty is partial every night, until it is full again or accepted", async () => {
  const host = await fullHost();
  await host.backup();
  for (const name of readdirSync(host.source)) rmSync(join(host.source, name), { recursive: true });
  for (let night = 0; night < 2; night++) {
    expect(await host.backup()).toMatchObject({ status: 3, document: { status: "partial", problems: [{ path: host.source, code: "E_EMPTY" }] } });
  }
  expect(await host.backup(["--accept-changes"])).toMatchObject({ status: 0, document: { problems: [] } });
  expect(await host.backup()).toMatchObject({ status: 0, document: { problems: [] } });
});

test("a path of safety.mustExist that is not there makes an archive partial", async () => {
  const host = await setUpHost();
  const marker = join(host.source, ".mounted");
  host.editConfig((text) => `${text}\nsafety: {mustExist: ["${marker}"]}\n`);
  expect(await host.backup()).toMatchObject({ status: 3, document: { status: "partial", problems: [{ path: marker, code: "E_MISSING" }] } });
  writeFileSync(marker, "");
  expect(await host.backup()).toMatchObject({ status: 0, document: { status: "complete" } });
});
