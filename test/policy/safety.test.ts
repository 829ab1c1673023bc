import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Usual } from "../../src/format/usual.ts";
import { judge, type Measured, nextUsual, type SafetyRules } from "../../src/policy/safety.ts";
import { GIB, MIB } from "../../src/units.ts";

const RULES: SafetyRules = { minSizeBytes: null, maxChange: 0.5, mustExist: [] };

function measured(entries: number, sourceBytes: number, changed = 0): Measured {
  return { entries, sourceBytes, filesNew: 0, filesChanged: changed, filesRewritten: changed, filesUnchanged: entries - changed };
}

const normal = measured(10_000, GIB);
const USUAL: Usual = { sizes: [normal, normal, normal].map(({ entries, sourceBytes }) => ({ entries, sourceBytes })), sources: [{ path: "/srv", entries: 10_000 }] };

function kinds(now: Measured, rules = RULES, usual: Usual | null = USUAL): string[] {
  return judge(now, rules, { entries: 10_000, usual }).map(({ kind }) => kind);
}

describe("judge", () => {
  test("the usual is not flagged, nor is a first archive", () => {
    expect(kinds(normal)).toEqual([]);
    expect(kinds(measured(12_000, 1.4 * GIB))).toEqual([]);
    expect(judge(measured(3, 10), RULES, null)).toEqual([]);
  });

  test("far smaller, far larger and far more changed are", () => {
    expect(kinds(measured(4_900, GIB))).toContain("shrunk");
    expect(kinds(measured(10_000, 0.4 * GIB))).toEqual(["shrunk"]);
    expect(kinds({ ...measured(25_000, GIB), filesNew: 15_000, filesUnchanged: 10_000 })).toEqual(["grown"]);
    expect(kinds(measured(10_000, 2.5 * GIB))).toEqual(["grown"]);
    expect(kinds(measured(10_000, GIB, 6_000))).toEqual(["changed"]);
  });

  test("files that are gone count as changes even where as many new ones took their place", () => {
    expect(kinds({ entries: 10_000, sourceBytes: GIB, filesNew: 8_000, filesChanged: 0, filesRewritten: 0, filesUnchanged: 2_000 })).toEqual(["changed"]);
  });

  test("files read again for another time or inode alone are not changes", () => {
    expect(kinds({ ...measured(10_000, GIB), filesChanged: 10_000, filesUnchanged: 0 })).toEqual([]);
  });

  test("growth waits until there is something to call usual", () => {
    const once = { ...USUAL, sizes: USUAL.sizes.slice(0, 1) };
    const grown = { ...measured(30_000, 3 * GIB), filesNew: 20_000, filesUnchanged: 10_000 };
    expect(kinds(grown, RULES, once)).toEqual([]);
    expect(kinds(grown)).toEqual(["grown"]);
  });

  test("a small tree may change as it likes", () => {
    const small: Usual = { sizes: [{ entries: 20, sourceBytes: MIB }], sources: [] };
    expect(judge(measured(2, 100), RULES, { entries: 20, usual: small })).toEqual([]);
  });

  test("minSize is absolute, and `off` leaves only that", () => {
    const rules = { ...RULES, minSizeBytes: 2 * GIB, maxChange: null };
    expect(kinds(normal, rules)).toEqual(["small"]);
    expect(judge(measured(1, 2 * GIB), rules, null)).toEqual([]);
  });
});

describe("nextUsual", () => {
  test("a flagged archive never becomes usual, however often it comes again", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000 }), fc.integer({ min: 1, max: 30 }), (entries, nights) => {
        let usual: Usual = USUAL;
        for (let night = 0; night < nights; night++) {
          const now = measured(entries, GIB);
          const flags = judge(now, RULES, { entries, usual });
          expect(flags.map(({ kind }) => kind)).toEqual(["shrunk"]);
          usual = nextUsual(usual, now, [{ path: "/srv", entries }], flags, false);
        }
        expect(usual.sizes).toEqual(USUAL.sizes);
      }),
    );
  });

  test("until a person accepts it", () => {
    const now = measured(4_000, GIB);
    const usual = nextUsual(USUAL, now, [{ path: "/srv", entries: 0 }], [], true);
    expect(usual).toEqual({ sizes: [{ entries: 4_000, sourceBytes: GIB }], sources: [{ path: "/srv", entries: 0 }] });
    expect(judge(now, RULES, { entries: 4_000, usual })).toEqual([]);
  });

  test("slow growth is followed, and an empty source keeps what it held", () => {
    let usual: Usual = USUAL;
    for (let entries = 10_000; entries < 100_000; entries *= 1.1) {
      const now = measured(Math.round(entries), GIB);
      expect(judge(now, RULES, { entries: now.entries, usual })).toEqual([]);
      usual = nextUsual(usual, now, [{ path: "/srv", entries: 0 }], [], false);
    }
    expect(usual.sources).toEqual([{ path: "/srv", entries: 10_000 }]);
    expect(usual.sizes).toHaveLength(7);
  });
});
