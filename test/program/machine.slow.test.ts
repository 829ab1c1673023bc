/** The machine's profile in its archives: shown, compared, judged, by the program from outside. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Profile } from "../../src/format/profile.ts";
import type { Finding } from "../../src/policy/adequacy.ts";
import type { Drift } from "../../src/policy/drift.ts";
import { setUpHost } from "../support/host.ts";

type Shown = { archive: string | null; profile: Profile };
type Drifted = { archive: string; total: number; drift: Drift[] };
type Judged = { archive: string; verdict: string; waived: number; findings: Finding[] };

describe("an archive holds a profile of its machine", () => {
  test("profile shows it, drift names what changed since, requirements judges this machine by it", async () => {
    const host = await setUpHost({ config: "machine: {profile: true}" });
    const { archive } = (await host.backup()).document;
    const config = ["--config", host.config];
    const archived = (await host.run(["profile", "--json", "--archive", "latest", ...config])).json<Shown>();
    const here = (await host.run(["profile", "--json", ...config])).json<Shown>();
    expect(archived.archive).toBe(archive);
    expect(here.archive).toBeNull();
    expect(here.profile.packages.installed).toEqual(archived.profile.packages.installed);
    expect(here.profile.hardware).toMatchObject({ arch: archived.profile.hardware.arch, memoryBytes: archived.profile.hardware.memoryBytes });

    const text = await host.run(["profile", "--kit", host.movedKit]);
    expect(text).toMatchObject({ status: 0, stdout: expect.stringMatching(/^archive .*\n[^\n]*\n\nhardware\n/) });
    const proseOf = text.stdout.split("\n\n").filter((part) => /^(?:hardware|packages|enabled units)\n/.test(part)).join("\n");
    expect(proseOf.split("\n").filter((line) => line.length > 80)).toEqual([]);

    const judge = async (...more: string[]): Promise<{ status: number | null; judged: Judged }> => {
      const run = await host.run(["requirements", "--json", "--kit", host.movedKit, ...more]);
      return { status: run.status, judged: run.json<Judged>() };
    };
    // This machine may lack root, and room for another copy of itself; nothing else of itself.
    const { status, judged } = await judge();
    const lacking = judged.findings.filter(({ verdict }) => verdict === "waivable" || verdict === "fatal").map(({ id }) => id);
    expect(lacking.filter((id) => id !== "root" && !id.startsWith("space:"))).toEqual([]);
    expect(status).toBe(lacking.length === 0 ? 0 : 5);
    const accepted = await judge("--accept", "space");
    const fatal = lacking.includes("root");
    expect(accepted).toMatchObject({ status: fatal ? 5 : lacking.length > 0 ? 4 : 0, judged: { verdict: fatal ? "not adequate" : lacking.length > 0 ? "adequate with waivers" : "adequate" } });
    expect(await host.run(["requirements", "--kit", host.movedKit, "--accept", "anything"])).toMatchObject({ status: 2, stderr: expect.stringContaining("os, memory, cpus, space, filesystem") });
  });

  test("drift is nothing at first, and then what the configuration of this machine no longer is", async () => {
    const host = await setUpHost({ config: "machine: {profile: true}" });
    await host.backup();
    const drift = async (): Promise<{ status: number | null; found: Drifted }> => {
      const run = await host.run(["drift", "--json", "--config", host.config]);
      return { status: run.status, found: run.json<Drifted>() };
    };
    const before = await drift();
    const lasting = before.found.drift.filter(({ kind }) => kind !== "port");
    expect(lasting).toEqual([]);
    expect(before.status).toBe(before.found.total === 0 ? 0 : 4);
    if (process.geteuid?.() !== 0) return;
    const path = `/etc/coldkeep-drift-${process.pid}.conf`;
    try {
      writeFileSync(path, "drifted\n");
      const after = await drift();
      expect(after.status).toBe(4);
      expect(after.found.drift).toContainEqual({ kind: "configuration", change: "added", name: path, before: "", after: "" });
      expect((await host.run(["drift", "--config", host.config])).stdout).toContain(`+ configuration ${path}`);
    } finally {
      rmSync(path, { force: true });
    }
  });

  test("where the configuration says so, there is none, which every verb says", async () => {
    const host = await setUpHost({ config: "machine: {profile: false}" });
    await host.backup();
    for (const args of [["profile", "--archive", "latest"], ["drift"], ["requirements"]]) {
      expect(await host.run([...args, "--config", host.config])).toMatchObject({ status: 1, stderr: expect.stringMatching(/holds no profile[\s\S]*hint: .*machine/) });
    }
  });
});

test("a dry run names data that no source covers, and doctor warns of it", async () => {
  const host = await setUpHost({ config: "machine: {profile: true}" });
  const isRoot = process.geteuid?.() === 0;
  const data = `/coldkeep-uncovered-${process.pid}`;
  try {
    if (isRoot) {
      mkdirSync(data);
      writeFileSync(join(data, "file"), Buffer.alloc(2 * 1024 * 1024, 1));
    }
    const dry = (await host.run(["backup", "--dry-run", "--json", "--config", host.config])).json<{ uncoveredTotal: number; uncovered: Profile["uncovered"] }>();
    expect(dry.uncoveredTotal).toBeGreaterThanOrEqual(dry.uncovered.length);
    if (isRoot) expect(dry.uncovered.map(({ path }) => path)).toContain(data);
    const doctor = (await host.run(["doctor", "--json", "--config", host.config])).json<{ checks: { name: string; verdict: string }[] }>();
    expect(doctor.checks.find(({ name }) => name === "uncovered data")?.verdict).toMatch(isRoot ? /^warn$/ : /^(?:ok|warn)$/);
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
  const quiet = await setUpHost({ config: 'machine: {ignoreUncovered: ["/"]}' });
  expect((await quiet.backup(["--dry-run"])).document).toMatchObject({ uncoveredTotal: 0 });
  expect((await quiet.run(["config", "check", "--config", quiet.config])).status).toBe(0);
  writeFileSync(join(quiet.dir, "bad.yaml"), "machine: {profil: true}\n");
  expect(await quiet.run(["config", "check", "--config", join(quiet.dir, "bad.yaml")])).toMatchObject({ status: 2, stderr: expect.stringContaining('"profile"') });
});
