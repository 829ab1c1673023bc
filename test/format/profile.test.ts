/** The profile's shape: what a hostile one comes to, what is cut, and what one profile learns from the one before. */
import { describe, expect, test } from "vitest";
import { type Profile, readProfile, withEarlierPeak } from "../../src/format/profile.ts";
import { withinBounds } from "../../src/format/profile-bounds.ts";
import { OLD } from "../policy/profile-example.ts";

const copy = (change: Record<string, unknown>): Record<string, unknown> => ({ ...structuredClone(OLD), ...change });

describe("a profile read from an archive", () => {
  test("is what was written, through JSON", () => {
    expect(readProfile(JSON.parse(JSON.stringify(OLD)))).toEqual(OLD);
  });

  test.each([
    ["nothing", {}],
    ["an endless list", copy({ timers: Array.from({ length: 20_001 }, () => "x") })],
    ["an endless text", copy({ hostName: "x".repeat(5000) })],
    ["an endless file", copy({ packages: { ...OLD.packages, aptFiles: [{ path: "/etc/apt/x", mode: 1, base64: "A".repeat(1024 * 1024 + 1) }] } })],
    ["a list that is a text", copy({ users: "root" })],
    ["bytes below zero", copy({ hardware: { ...OLD.hardware, memoryBytes: -1 } })],
    ["a number that no longer is one", copy({ hardware: { ...OLD.hardware, memoryBytes: 1e300 } })],
    ["an unknown package manager", copy({ packages: { ...OLD.packages, manager: "rm -rf" } })],
    ["null for an object", copy({ os: null })],
  ])("with %s is none", (_, value) => {
    expect(readProfile(value)).toBeNull();
  });
});

test("what is longer than a profile may hold is cut, said so, and can be read again", () => {
  const long: Profile = {
    ...OLD,
    hostName: "h".repeat(9000),
    timers: Array.from({ length: 30_000 }, (_, i) => `t${i}`),
    packages: { ...OLD.packages, aptFiles: Array.from({ length: 1500 }, (_, i) => ({ path: `/etc/apt/${i}`, mode: 0o644, base64: "" })) },
    crontabs: ["/etc/cron.d/\udc80"],
  };
  const cut = withinBounds(long);
  expect(readProfile(JSON.parse(JSON.stringify(cut)))).toEqual(cut);
  expect(cut.gaps.map(({ what }) => what).toSorted()).toEqual(["hostName", "packages.aptFiles", "timers"]);
  expect([cut.hostName.length, cut.timers.length, cut.packages.aptFiles.length]).toEqual([4096, 20_000, 1000]);
  expect(withinBounds(OLD)).toEqual(OLD);
});

test("the peak is the highest that any profile knew, since the first of them", () => {
  const at = (memory: number | null, swap: number | null, since: string | null): Profile => ({ ...OLD, hardware: { ...OLD.hardware, peakMemoryBytes: memory, peakSwapBytes: swap, peakSince: since } });
  const known = ({ hardware: { peakMemoryBytes, peakSwapBytes, peakSince } }: Profile): unknown[] => [peakMemoryBytes, peakSwapBytes, peakSince];
  expect(known(withEarlierPeak(at(5, 1, "2026-02-01"), at(9, 0, "2026-01-01")))).toEqual([9, 1, "2026-01-01"]);
  expect(known(withEarlierPeak(at(5, 1, "2026-02-01"), null))).toEqual([5, 1, "2026-02-01"]);
  expect(known(withEarlierPeak(at(5, 1, "2026-02-01"), at(null, null, null)))).toEqual([5, 1, "2026-02-01"]);
  expect(known(withEarlierPeak(at(null, null, null), at(9, 2, "2026-01-01")))).toEqual([9, 2, "2026-01-01"]);
});
