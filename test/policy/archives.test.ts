/** Decisions about archives: what is unchanged, how large pieces are, which archive is latest, how many copies count, what time it is. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/format/entry.ts";
import { idTimeMs, makeId } from "../../src/format/id.ts";
import type { ManifestHeader } from "../../src/format/manifest.ts";
import { isUnchanged, type WalkedStat } from "../../src/policy/change.ts";
import { agreedTimeMs } from "../../src/policy/clock.ts";
import { archiveStatus, requiredCopies } from "../../src/policy/copies.ts";
import { type ChainFinding, chainFindings, type ChainView, latestArchive, newestFirst, type SeenArchive, viewFindings } from "../../src/policy/latest.ts";
import { chunkAverage, spanBytes, VOLUME_BYTES_MAX, volumeTargetBytes } from "../../src/policy/sizing.ts";
import { GIB, KIB, MIB } from "../../src/units.ts";

describe("isUnchanged", () => {
  const entry: Entry = { path: "/a", type: "file", mode: 0o644, uid: 1, gid: 2, size: 5, mtime: "100.000000001", ctime: "100.000000002", ino: "9", dev: "1" };
  const now: WalkedStat = { type: "file", mode: 0o644, uid: 1, gid: 2, size: 5, mtime: "100.000000001", ctime: "100.000000002", ino: "9" };

  test("the same in all, and settled before the run before began", () => {
    expect(isUnchanged(entry, now, 103)).toBe(true);
    // Changed within two seconds of that: a later write in the same tick would not show.
    expect(isUnchanged(entry, now, 102)).toBe(false);
    expect(isUnchanged(entry, now, 0)).toBe(false);
  });

  test.each([{ type: "fifo" }, { mode: 0o600 }, { uid: 3 }, { gid: 3 }, { size: 6 }, { mtime: "100.000000002" }, { ctime: "100.000000003" }, { ino: "10" }])("another %j", (other) => {
    expect(isUnchanged(entry, { ...now, ...other }, 1000)).toBe(false);
  });

  test("what changed while it was read is read again; a directory's size does not count", () => {
    expect(isUnchanged({ ...entry, changed: true }, now, 1000)).toBe(false);
    expect(isUnchanged({ ...entry, type: "dir", size: 0 }, { ...now, type: "dir", size: 4096 }, 1000)).toBe(true);
  });
});

describe("sizing", () => {
  test("volumes double with every thousand objects, up to a limit that the configuration may exceed", () => {
    expect(volumeTargetBytes(32 * MIB, 0)).toBe(32 * MIB);
    expect(volumeTargetBytes(32 * MIB, 999)).toBe(32 * MIB);
    expect(volumeTargetBytes(32 * MIB, 1000)).toBe(64 * MIB);
    expect(volumeTargetBytes(32 * MIB, 100_000)).toBe(VOLUME_BYTES_MAX);
    expect(volumeTargetBytes(8 * MIB, 0)).toBe(8 * MIB);
    expect(volumeTargetBytes(512 * MIB, 5000)).toBe(512 * MIB);
  });

  test("chunks are 32 KiB up to 32 GiB, then grow; an average in use stays until it is four times off", () => {
    expect(chunkAverage(2 * MIB)).toBe(32 * KIB);
    expect(chunkAverage(32 * GIB)).toBe(32 * KIB);
    expect(chunkAverage(32 * GIB + 1)).toBe(64 * KIB);
    expect(chunkAverage(64 * GIB)).toBe(64 * KIB);
    expect(chunkAverage(64 * GIB + 1)).toBe(128 * KIB);
    expect(chunkAverage(1e16)).toBe(2 * MIB);
    expect(chunkAverage(100 * GIB, 64 * KIB)).toBe(64 * KIB);
    expect(chunkAverage(200 * GIB, 64 * KIB)).toBe(256 * KIB);
    expect(chunkAverage(2 * MIB, 64 * KIB)).toBe(64 * KIB);
    expect(chunkAverage(2 * MIB, 128 * KIB)).toBe(32 * KIB);
    expect(spanBytes(64 * KIB)).toBe(16 * MIB);
  });

  test("whatever a catalog says is in use, the average is a power of two that fits a frame", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.option(fc.double(), { nil: undefined }), (size, inUse) => {
        const average = chunkAverage(size, inUse);
        expect(Number.isInteger(Math.log2(average)) && average >= 32 * KIB && average <= 2 * MIB).toBe(true);
      }),
    );
  });
});

describe("chains", () => {
  const seen = (n: number, previous: number | null, status: "complete" | "partial" = "complete", variant = 0): SeenArchive => {
    const id = makeId(1e12 + n, Buffer.alloc(10, n + variant));
    const header = { id, sequence: idTimeMs(id), status, previous: previous === null ? null : { id: "p", sha256: `digest ${previous}` } };
    // Only the fields that the policy reads.
    return { header: header as unknown as ManifestHeader, sha256: `digest ${n}${variant === 0 ? "" : `.${variant}`}`, signer: "ed25519:own", regions: ["a"] };
  };

  test("latest is the newest complete one, else the newest", () => {
    const archives = [seen(1, null), seen(3, 2, "partial"), seen(2, 1)];
    expect(newestFirst(archives).map(({ sha256 }) => sha256)).toEqual(["digest 3", "digest 2", "digest 1"]);
    expect(latestArchive(archives)?.sha256).toBe("digest 2");
    expect(latestArchive([seen(1, null, "partial"), seen(2, 1, "partial")])?.sha256).toBe("digest 2");
    expect(latestArchive([])).toBeUndefined();
  });

  test("gaps and forks are found, whatever the order; a sound chain has none", () => {
    expect(chainFindings([seen(3, 2), seen(1, null), seen(2, 1)])).toEqual([]);
    expect(chainFindings([seen(3, 2), seen(1, null)])).toMatchObject([{ kind: "gap", id: seen(3, 2).header.id }]);
    expect(chainFindings([seen(2, 1, "complete", 4), seen(1, null), seen(2, 1)])).toMatchObject([{ kind: "fork", message: expect.stringMatching(/^fork: /) }]);
    expect(chainFindings([seen(1, null), seen(2, null)])).toMatchObject([{ kind: "fork", message: expect.stringContaining("follow nothing") }]);
  });

  test("a mix is when no region holds all; a rollback, when all end before what the host remembers", () => {
    const [first, second] = [{ ...seen(1, null), regions: ["a", "b"] }, { ...seen(2, 1), regions: ["a"] }];
    const none = { regions: ["a", "b"], remembered: undefined };
    const view = (archives: SeenArchive[], known: ChainView): ChainFinding[] => viewFindings(archives, archives, known);
    expect(view([first, second], none)).toEqual([]);
    expect(view([{ ...first, regions: ["b"] }, second], none)).toMatchObject([{ kind: "mix", message: "mix: no region holds every archive: a lacks 1, b lacks 1 of 2" }]);
    expect(view([{ ...first, regions: [] }], { ...none, regions: ["a"] })).toEqual([]);
    const remembered = { id: second.header.id, sequence: second.header.sequence };
    expect(view([first, second], { regions: ["a"], remembered })).toEqual([]);
    expect(view([first], { regions: ["a"], remembered })).toMatchObject([{ kind: "rollback", id: remembered.id, message: expect.stringMatching(/^rollback: /) }]);
    expect(view([], { regions: ["a"], remembered })).toMatchObject([{ kind: "rollback" }]);
    // What a record has ended since is no loss.
    expect(viewFindings([first], [first, { header: second.header, sha256: second.sha256 }], { regions: ["a"], remembered })).toEqual([]);
  });
});

test("copies: all regions but one by default; fewer is failure, one behind or a bad source partial", () => {
  expect([1, 2, 3].map((regions) => requiredCopies(undefined, regions))).toEqual([1, 1, 2]);
  expect(requiredCopies(3, 3)).toBe(3);
  expect(archiveStatus(2, 2, 1, true)).toBe(0);
  expect(archiveStatus(1, 2, 1, true)).toBe(3);
  expect(archiveStatus(2, 2, 1, false)).toBe(3);
  expect(archiveStatus(1, 2, 2, true)).toBe(1);
  expect(archiveStatus(0, 1, 1, true)).toBe(1);
});

test("of several clocks no single one decides", () => {
  expect(agreedTimeMs([], 5)).toBe(5);
  expect(agreedTimeMs([7], 5)).toBe(7);
  for (const wrong of [0, 1e15]) {
    expect(agreedTimeMs([1000, wrong], 1001)).toBeLessThanOrEqual(1001);
    expect(agreedTimeMs([wrong, 1000], 1001)).toBeGreaterThanOrEqual(1000);
    expect(agreedTimeMs([1000, 1001], wrong)).toBeGreaterThanOrEqual(1000);
    expect(agreedTimeMs([1000, 1002, wrong], 1001)).toBeLessThanOrEqual(1002);
  }
});
