/** `coldkeep kit …`: on paper, with another signer, and the proof that it opens the archives. */
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseKit } from "../../src/format/kit.ts";
import { startFakeS3 } from "../support/fake-s3.ts";
import { s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { flip } from "../support/restore.ts";
import { afterUse } from "../support/temp-dir.ts";

type Checked = { checks: { host: string; archive: string | null; fault: string | null }[] };

function kitOf(host: TestHost): ReturnType<typeof parseKit> {
  return parseKit(readFileSync(host.movedKit, "utf8"));
}

describe("kit print", () => {
  test("text: a kit that works as it is printed, with codes behind it", async () => {
    const host = await setUpHost();
    await host.backup();
    const { status, stdout } = await host.run(["kit", "print", "--kit", host.movedKit]);
    expect(status).toBe(0);
    expect(stdout).toContain("# Identity 1 of 1");
    expect(stdout).toMatch(/^# .*[▀▄█]/m);
    const copy = join(host.dir, "safe/typed.txt");
    writeFileSync(copy, stdout, { mode: 0o600 });
    expect(parseKit(stdout)).toEqual(kitOf(host));
    expect((await host.run(["kit", "check", "--kit", copy])).status).toBe(0);
  });

  test("a page: whole in itself, private, and never over another file", async () => {
    const host = await setUpHost();
    const page = join(host.dir, "safe/kit.html");
    const print = ["kit", "print", "--html", "--kit", host.movedKit, "--to", page];
    expect(await host.run(print)).toMatchObject({ status: 0, stdout: "" });
    expect(statSync(page).mode & 0o777).toBe(0o600);
    const html = readFileSync(page, "utf8");
    expect(html).toContain("<svg");
    for (const identity of kitOf(host).identities) expect(html).toContain(identity);
    expect(html).not.toMatch(/(?:src|href)=|<script|url\(/);
    expect(await host.run(print)).toMatchObject({ status: 5, stderr: expect.stringContaining("nothing is overwritten") });
  });

  test("with the keys that read the regions, which restore then needs nothing beside", async () => {
    const fake = await startFakeS3({ buckets: ["vault"] });
    afterUse(() => void fake.stop());
    const host = await setUpHost(s3Options({ north: fake }));
    await host.backup();
    expect((await host.run(["kit", "print", "--kit", host.movedKit])).stdout).not.toContain(fake.keys.secretAccessKey);
    const { stdout } = await host.run(["kit", "print", "--kit", host.movedKit, "--with-read-credentials"]);
    const whole = join(host.dir, "safe/whole.txt");
    writeFileSync(whole, stdout, { mode: 0o600 });
    const bare = { env: Object.fromEntries(Object.keys(host.env).map((name) => [name, ""])) };
    expect((await host.run(["list", "--kit", host.movedKit], { env: { ...bare.env, AWS_EC2_METADATA_DISABLED: "true" } })).status).not.toBe(0);
    expect((await host.run(["restore", "--kit", whole, "--to", join(host.dir, "out")], bare)).status).toBe(0);
    expect(readFileSync(join(host.dir, "out", host.source, "a.txt"), "utf8")).toBe("alpha");
  });

  test("what is printed opens with age itself", async () => {
    const host = await setUpHost();
    await host.backup();
    const { stdout } = await host.run(["kit", "print", "--kit", host.movedKit]);
    const copy = join(host.dir, "safe/copy.txt");
    writeFileSync(copy, stdout, { mode: 0o600 });
    const [volume = ""] = host.objects("a", "volumes");
    const listed = execFileSync("sh", ["-c", 'age -d -i "$0" "$1" | zstd -dc | tar -t', copy, join(host.region("a"), "hosts/web1/volumes", volume)], { encoding: "utf8" });
    expect(listed).toContain("a.txt");
  });
});

test("kit add-signer: once, private as before, and then the other host's archives are read", async () => {
  const host = await setUpHost();
  const other = await setUpHost({ host: "web2", regions: host.regions });
  await other.backup();
  const line = /^# (signer: host web2 .*)$/m.exec(readFileSync(other.movedKit, "utf8"))?.[1] ?? "";
  const words = line.replace("signer: ", "").split(" ");
  const add = (args: string[]): ReturnType<TestHost["run"]> => host.run(["kit", "add-signer", ...args, "--kit", host.movedKit, "--json"]);
  expect((await add(words)).json()).toMatchObject({ added: true });
  expect((await add([words.join(" ")])).json()).toMatchObject({ added: false });
  expect(statSync(host.movedKit).mode & 0o777).toBe(0o600);
  // The archive is encrypted to the other kit's identity: listing needs trust, not keys.
  expect((await host.run(["list", "--kit", host.movedKit, "--host", "web2"])).stdout).toContain("complete");
  expect(await add(["host", "web2"])).toMatchObject({ status: 2 });
  expect(await add(["host", "web2", "ed25519:short"])).toMatchObject({ status: 2 });
  chmodSync(host.movedKit, 0o644);
  expect(await add(words)).toMatchObject({ status: 5 });
});

describe("kit check", () => {
  test("opens the newest archive of each host, and says what it cannot open, and why", async () => {
    const host = await setUpHost();
    const check = async (args: string[] = []): Promise<{ status: number | null; checks: Checked["checks"] }> => {
      const run = await host.run(["kit", "check", "--kit", host.movedKit, "--json", ...args]);
      return { status: run.status, checks: run.json<Checked>().checks };
    };
    expect(await check()).toMatchObject({ status: 1, checks: [{ host: "web1", archive: null, fault: "has no archive" }] });
    const { document } = await host.backup();
    const opened = { status: 0, checks: [expect.objectContaining({ host: "web1", archive: document.archive, fault: null })] };
    const keyCheckedAt = async (): Promise<unknown> => (await host.run(["status", "--json", "--config", host.config])).json()["keyCheckedAt"];
    expect(await check(["--unrecorded"])).toEqual(opened);
    expect(await keyCheckedAt()).toBeNull();
    expect(await check()).toEqual(opened);
    expect(Date.parse(String(await keyCheckedAt()))).toBeGreaterThan(Date.now() - 60_000);

    // An identity that is another's.
    const stranger = await setUpHost();
    const kit = readFileSync(host.movedKit, "utf8");
    writeFileSync(host.movedKit, kit.replace(/^AGE-SECRET-KEY-.*$/m, kitOf(stranger).identities[0] ?? ""));
    expect(await check()).toMatchObject({ status: 1, checks: [{ fault: expect.stringMatching(/identity|opens/) }] });
    writeFileSync(host.movedKit, kit);

    // A volume that is damaged in one region opens from the other; in both it does not.
    const [volume = ""] = host.objects("a", "volumes");
    for (const region of ["a", "b"]) {
      flip(join(host.region(region), "hosts/web1/volumes", volume), 400);
      expect((await check(["--region", region])).status).toBe(1);
    }
    rmSync(host.region("b"), { recursive: true });
    expect((await check()).status).toBe(1);
  });
});
