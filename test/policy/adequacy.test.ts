/** What may take the place of a machine: each rule at its edge, and that nothing fatal is ever waived. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Profile } from "../../src/format/profile.ts";
import { checkAdequacy, type Here, WAIVERS } from "../../src/policy/adequacy.ts";
import { GIB } from "../../src/units.ts";
import { FIT, OLD } from "./profile-example.ts";

type Case = { name: string; old?: Partial<Profile>; here?: Partial<Here>; id: string; verdict: string; waiver?: string };

const hardware = (change: Partial<Profile["hardware"]>): Partial<Profile> => ({ hardware: { ...OLD.hardware, ...change } });
const os = (id: string, versionId: string): Pick<Here, "os"> => ({ os: { id, versionId, name: "" } });
const mounts = (...items: [path: string, freeGib: number, type?: string][]): Pick<Here, "mounts"> => ({
  mounts: items.map(([path, free, type = "ext4"]) => ({ path, type, freeBytes: free * GIB, isReadOnly: false })),
});

const CASES: Case[] = [
  { name: "another architecture", here: { arch: "arm64" }, id: "arch", verdict: "fatal" },
  { name: "another distribution", here: os("ubuntu", "24.04"), id: "os", verdict: "waivable", waiver: "os" },
  { name: "another release", here: os("debian", "13"), id: "os", verdict: "waivable", waiver: "os" },
  { name: "a newer point release", here: os("debian", "12.9"), id: "os", verdict: "note" },
  { name: "an older point release", old: { os: { ...OLD.os, versionId: "12.9" } }, here: os("debian", "12.1"), id: "os", verdict: "waivable", waiver: "os" },
  { name: "Ubuntu's releases differ in both parts", old: { os: { ...OLD.os, id: "ubuntu", versionId: "24.04" } }, here: os("ubuntu", "24.10"), id: "os", verdict: "waivable", waiver: "os" },
  { name: "three quarters of the memory", here: { memoryBytes: 6 * GIB }, id: "memory", verdict: "ok" },
  { name: "less than that", here: { memoryBytes: 6 * GIB - 1 }, id: "memory", verdict: "waivable", waiver: "memory" },
  { name: "less, where a month showed less in use", old: hardware({ peakMemoryBytes: 3 * GIB, peakSince: "2026-10-20T00:00:00Z" }), here: { memoryBytes: 4 * GIB }, id: "memory", verdict: "ok" },
  { name: "a peak of two days says nothing", old: hardware({ peakMemoryBytes: 3 * GIB, peakSince: "2026-11-18T00:00:00Z" }), here: { memoryBytes: 4 * GIB }, id: "memory", verdict: "waivable", waiver: "memory" },
  { name: "a peak above the share does not ask for more than the share", old: hardware({ peakMemoryBytes: 8 * GIB, peakSince: "2026-01-01T00:00:00Z" }), here: { memoryBytes: 6 * GIB }, id: "memory", verdict: "ok" },
  { name: "half of the processors", here: { cpus: 2 }, id: "cpus", verdict: "ok" },
  { name: "fewer", here: { cpus: 1 }, id: "cpus", verdict: "waivable", waiver: "cpus" },
  { name: "all on one file system: summed, and a tenth more", here: mounts(["/", 121.1]), id: "space:/", verdict: "ok" },
  { name: "a little less than that", here: mounts(["/", 120.9]), id: "space:/", verdict: "waivable", waiver: "space" },
  { name: "each where its paths land", here: mounts(["/", 11.1], ["/srv", 109]), id: "space:/srv", verdict: "waivable", waiver: "space" },
  { name: "room elsewhere does not count", here: mounts(["/", 10], ["/srv", 500]), id: "space:/", verdict: "waivable", waiver: "space" },
  { name: "a disk that only held the vault needs no room", old: { mounts: [...OLD.mounts, { path: "/backup", device: "/dev/vdc1", type: "ext4", sizeBytes: 900 * GIB, usedBytes: 800 * GIB, options: "", archived: false }] }, here: mounts(["/", 122]), id: "space:/", verdict: "ok" },
  { name: "a file system without owners", here: mounts(["/", 300], ["/srv", 300, "exfat"]), id: "filesystem:/srv", verdict: "waivable", waiver: "filesystem" },
  { name: "a file system that is read-only", here: { mounts: [{ path: "/", type: "ext4", freeBytes: 300 * GIB, isReadOnly: true }] }, id: "writable:/", verdict: "fatal" },
  { name: "not root", here: { isRoot: false }, id: "root", verdict: "fatal" },
  { name: "no apt", here: { hasApt: false }, id: "apt", verdict: "fatal" },
];

describe("a machine that is as the old one", () => {
  test("is adequate", () => {
    const { verdict, waived, findings } = checkAdequacy(OLD, FIT, []);
    expect({ verdict, waived, not: findings.filter((each) => each.verdict !== "ok") }).toEqual({ verdict: "adequate", waived: 0, not: [] });
  });

  test.each(CASES)("but: $name → $id $verdict", ({ old = {}, here = {}, id, verdict, waiver }) => {
    const judged = checkAdequacy({ ...OLD, ...old }, { ...FIT, ...here }, []);
    expect(judged.findings.filter((finding) => finding.id === id)).toMatchObject([{ verdict, waiver: waiver ?? null }]);
    const stands = verdict === "fatal" || verdict === "waivable";
    expect(judged.verdict).toBe(stands ? "not adequate" : "adequate");
    const word = WAIVERS.find((each) => each === waiver);
    if (word === undefined) return;
    expect(checkAdequacy({ ...OLD, ...old }, { ...FIT, ...here }, [word])).toMatchObject({ verdict: "adequate with waivers", waived: 1 });
  });

  test("an old machine without apt needs none", () => {
    const old = { ...OLD, packages: { ...OLD.packages, manager: "none" as const } };
    expect(checkAdequacy(old, { ...FIT, hasApt: false }, []).verdict).toBe("adequate");
  });
});

const anyHere: fc.Arbitrary<Here> = fc.record({
  os: fc.record({ id: fc.constantFrom("debian", "ubuntu"), versionId: fc.constantFrom("", "11", "12", "12.5", "24.04"), name: fc.constant("") }),
  arch: fc.constantFrom("amd64", "arm64"),
  cpus: fc.nat(8),
  memoryBytes: fc.nat(16).map((gib) => gib * GIB),
  swapBytes: fc.constant(0),
  mounts: fc.uniqueArray(fc.record({ path: fc.constantFrom("/", "/srv", "/srv/data", "/var"), type: fc.constantFrom("ext4", "vfat", "odd"), freeBytes: fc.nat(400).map((gib) => gib * GIB), isReadOnly: fc.boolean() }), { selector: ({ path }) => path }),
  isRoot: fc.boolean(),
  hasApt: fc.boolean(),
});

test("whatever the machine and whatever is accepted: what is fatal stands, and accepting changes nothing but what it names", () => {
  fc.assert(
    fc.property(anyHere, fc.subarray([...WAIVERS]), (here, accepted) => {
      const [strict, waved] = [checkAdequacy(OLD, here, []), checkAdequacy(OLD, here, accepted)];
      const fatal = strict.findings.some(({ verdict }) => verdict === "fatal");
      if (fatal) expect(waved.verdict).toBe("not adequate");
      expect(waved.findings.map((finding) => ({ ...finding, isWaived: false }))).toEqual(strict.findings);
      for (const { isWaived, verdict, waiver } of waved.findings) expect(isWaived).toBe(verdict === "waivable" && waiver !== null && accepted.includes(waiver));
      const lacking = waved.findings.some(({ verdict, isWaived }) => verdict === "waivable" && !isWaived);
      expect(waved.verdict === "not adequate").toBe(fatal || lacking);
    }),
    { numRuns: 500 },
  );
});
