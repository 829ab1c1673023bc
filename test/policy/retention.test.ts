import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeId } from "../../src/format/id.ts";
import { type Candidate, checkRule, checkTimeZone, judgeArchives, PERIODS, type RetentionRule } from "../../src/policy/retention.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.parse("2026-11-28T12:00:00Z");
const NOTHING: RetentionRule = { last: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, withinMs: null, keepMin: 0, timeZone: "UTC" };

let number = 0;
function archive(time: string | number, change: Partial<Candidate> = {}): Candidate {
  const atMs = typeof time === "number" ? time : Date.parse(time);
  return { id: makeId(atMs, Buffer.alloc(10, ++number)), signedMs: atMs, storedMs: atMs, status: "complete", regions: 2, held: null, ...change };
}

function kept(candidates: readonly Candidate[], rule: Partial<RetentionRule>, nowMs = NOW): Set<string> {
  return new Set(judgeArchives(candidates, { ...NOTHING, ...rule }, nowMs, 2).flatMap(({ id, keep }) => (keep ? [id] : [])));
}

const timesOf = (candidates: readonly Candidate[], ids: ReadonlySet<string>): string[] => candidates.filter(({ id }) => ids.has(id)).map(({ signedMs }) => new Date(signedMs).toISOString().slice(0, 16));

describe("a rule", () => {
  const nights = Array.from({ length: 400 }, (_, i) => archive(Date.parse("2026-11-28T02:30:00Z") - i * DAY));

  test("keeps the first archive of each of the newest periods, and says which", () => {
    expect(timesOf(nights, kept(nights, { daily: 3, weekly: 2, monthly: 3, yearly: 2 }))).toEqual([
      "2026-11-28T02:30", "2026-11-27T02:30", "2026-11-26T02:30", "2026-11-23T02:30", "2026-11-16T02:30", "2026-11-01T02:30", "2026-10-01T02:30", "2026-09-01T02:30", "2026-01-01T02:30", "2025-10-25T02:30",
    ]);
    const reasons = judgeArchives(nights, { ...NOTHING, daily: 1, monthly: 1 }, NOW, 2).map(({ reason }) => reason);
    expect(reasons[0]).toBe("the newest, daily 2026-11-28");
    expect(reasons[1]).toBe(`2026-11-27 is beyond daily 1, ${nights[27]?.id} stands for 2026-11`);
    expect(reasons[27]).toBe("monthly 2026-11");
  });

  test("keeps the last ones, and what is younger than a time", () => {
    expect(timesOf(nights, kept(nights, { last: 2, withinMs: 1 }))).toEqual(["2026-11-28T02:30", "2026-11-27T02:30"]);
    expect(timesOf(nights, kept(nights, { withinMs: 2 * DAY }))).toEqual(["2026-11-28T02:30", "2026-11-27T02:30"]);
  });

  test("counts periods that have an archive: a machine that was off does not lose what it had", () => {
    const before = nights.slice(100, 110);
    expect(kept(before, { daily: 7 }).size).toBe(7);
  });

  test("prefers a complete archive over a partial one that came first, whatever it is complete of", () => {
    const day = [archive("2026-11-20T01:00Z", { status: "partial" }), archive("2026-11-20T02:00Z", { regions: 1 }), archive("2026-11-20T03:00Z"), archive("2026-11-20T04:00Z")];
    const rest = archive("2026-11-28T01:00Z");
    expect(timesOf([...day, rest], kept([...day, rest], { daily: 7 }))).toEqual(["2026-11-20T03:00", "2026-11-28T01:00"]);
    expect(timesOf([...day.slice(0, 2), rest], kept([...day.slice(0, 2), rest], { daily: 7 }))).toEqual(["2026-11-20T01:00", "2026-11-28T01:00"]);
  });

  test("is of days in its time zone, also where the clocks change", () => {
    const berlin = { daily: 10, timeZone: "Europe/Berlin" };
    // 25 October 2026 has 25 hours in Berlin, from 22:00 UTC the day before until 23:00.
    const autumn = ["2026-10-24T21:59Z", "2026-10-24T22:01Z", "2026-10-25T22:59Z", "2026-10-25T23:01Z"].map((time) => archive(time));
    expect(timesOf(autumn, kept(autumn, berlin))).toEqual(["2026-10-24T21:59", "2026-10-24T22:01", "2026-10-25T23:01"]);
    // 29 March has 23, from 23:00 until 22:00.
    const spring = ["2026-03-28T22:59Z", "2026-03-28T23:01Z", "2026-03-29T21:59Z", "2026-03-29T22:01Z"].map((time) => archive(time));
    expect(timesOf(spring, kept(spring, berlin))).toEqual(["2026-03-28T22:59", "2026-03-28T23:01", "2026-03-29T22:01"]);
    expect(timesOf(spring, kept(spring, { daily: 10 }))).toEqual(["2026-03-28T22:59", "2026-03-29T21:59", "2026-03-29T22:01"]);
  });

  test("is of weeks from Monday on, over the end of a year", () => {
    const week = ["2026-12-27T02:00Z", "2026-12-28T02:00Z", "2027-01-03T02:00Z", "2027-01-04T02:00Z"].map((time) => archive(time));
    const now = Date.parse("2027-02-01T00:00Z");
    expect(timesOf(week, kept(week, { weekly: 9 }, now))).toEqual(["2026-12-27T02:00", "2026-12-28T02:00", "2027-01-04T02:00"]);
    expect(judgeArchives(week, { ...NOTHING, weekly: 9 }, now, 2).at(-2)?.reason).toBe("weekly 2026-W53");
  });

  test("that names no period, or a zone nobody knows, is refused", () => {
    expect(() => checkRule({ ...NOTHING, last: 7 })).toThrow(expect.objectContaining({ code: "E_CONFIG" }));
    expect(() => checkRule(NOTHING)).toThrow(expect.objectContaining({ code: "E_CONFIG" }));
    expect(checkRule({ ...NOTHING, daily: 1 })).toMatchObject({ daily: 1 });
    expect(() => checkTimeZone("Mars/Olympus")).toThrow(expect.objectContaining({ code: "E_CONFIG" }));
    expect(checkTimeZone("Europe/Berlin")).toBe("Europe/Berlin");
  });
});

describe("whoever writes archives", () => {
  const good = Array.from({ length: 30 }, (_, i) => archive(Date.parse("2026-11-27T02:30:00Z") - i * DAY));

  test("cannot fill the past with a signed time, nor push others out with one from the future", () => {
    const rule = { daily: 30, keepMin: 3 };
    const backdated = good.map(({ signedMs }) => archive(signedMs - HOUR, { storedMs: NOW }));
    const future = Array.from({ length: 40 }, (_, i) => archive(NOW + (i + 1) * DAY, { storedMs: NOW }));
    const after = kept([...good, ...backdated, ...future], rule);
    for (const { id } of good.slice(0, 29)) expect(after.has(id)).toBe(true);
    for (const { id } of future) expect(after.has(id)).toBe(true);
    expect(judgeArchives(future, { ...NOTHING, ...rule }, NOW, 2).at(-1)?.reason).toMatch(/^from the future/);
  });

  test("cannot take the place of one that came in the same tick of a store's clock", () => {
    const real = archive("2026-11-28T02:30:07Z");
    const added = [-3, 0].map((claimMs) => archive(real.signedMs + claimMs, { storedMs: real.storedMs }));
    expect(kept([real, ...added], { daily: 1 }).has(real.id)).toBe(true);
    const partial = archive(real.signedMs - 5, { storedMs: real.storedMs, status: "partial" });
    expect(kept([real, partial, ...good], { daily: 30 }).has(partial.id)).toBe(false);
  });

  test("cannot keep an archive with a store's late copy of it", () => {
    const old = archive("2026-11-01T02:30Z", { storedMs: Date.parse("2026-11-01T02:31Z") });
    expect(kept([...good.slice(0, 3), old], { daily: 3 }).has(old.id)).toBe(false);
  });
});

const rules = fc.record({
  last: fc.nat(4),
  daily: fc.nat(5),
  weekly: fc.nat(3),
  monthly: fc.nat(3),
  yearly: fc.nat(2),
  withinMs: fc.option(fc.integer({ min: 1, max: 20 * DAY })),
  keepMin: fc.nat(6),
  timeZone: fc.constantFrom("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Auckland"),
});
const candidates = fc.array(
  fc.record({ ageMs: fc.integer({ min: -3 * DAY, max: 500 * DAY }), lateMs: fc.oneof(fc.constant(0), fc.nat(3 * DAY)), status: fc.constantFrom("complete", "partial"), regions: fc.integer({ min: 1, max: 2 }), held: fc.constantFrom(null, null, null, "why") }),
  { maxLength: 40 },
).map((list) => list.map(({ ageMs, lateMs, ...rest }) => archive(NOW - ageMs, { ...rest, storedMs: NOW - ageMs + lateMs })));
const isGood = ({ status, regions }: Candidate): boolean => status === "complete" && regions === 2;

describe("for every rule and every host", () => {
  test("at least keepMin complete archives stay, as far as there are any; what is held stays; what is newest stays", () => {
    fc.assert(
      fc.property(candidates, rules, (all, rule) => {
        const ids = kept(all, rule);
        const past = all.filter(({ signedMs, storedMs }) => Math.max(signedMs, storedMs) <= NOW + 15 * 60_000);
        const goodOnes = past.filter(isGood);
        expect(goodOnes.filter(({ id }) => ids.has(id)).length).toBeGreaterThanOrEqual(Math.min(rule.keepMin, goodOnes.length));
        expect(past.filter(({ id }) => ids.has(id)).length).toBeGreaterThanOrEqual(Math.min(rule.keepMin, past.length));
        for (const { id, held } of all) if (held !== null) expect(ids.has(id)).toBe(true);
        const [newest] = all.map(({ id }) => id).toSorted().toReversed();
        if (newest !== undefined) expect(ids.has(newest)).toBe(true);
      }),
    );
  });

  test("new archives, whatever they claim, never push out a complete one that stands for a period not yet over the rule", () => {
    const flood = fc.array(fc.record({ claimMs: fc.integer({ min: -400 * DAY, max: 400 * DAY }), status: fc.constantFrom("complete", "partial"), regions: fc.integer({ min: 1, max: 2 }) }), { maxLength: 30 });
    fc.assert(
      fc.property(candidates, rules, flood, (all, { daily, timeZone }, added) => {
        const rule = { ...NOTHING, daily: daily + 1, timeZone };
        // What is only the newest is so until the next night.
        const standing = new Set(judgeArchives(all, rule, NOW, 2).flatMap(({ id, keep, reason }) => (keep && reason.includes("daily ") ? [id] : [])));
        const after = kept([...all, ...added.map(({ claimMs, ...rest }) => archive(NOW + claimMs, { ...rest, storedMs: NOW }))], rule);
        for (const each of all.filter(isGood)) {
          const ageMs = NOW - Math.max(each.signedMs, each.storedMs);
          // By the calendar: so many days back from now, with an hour to spare for a change of clocks.
          if (standing.has(each.id) && ageMs >= 0 && ageMs < daily * DAY - HOUR) expect(after.has(each.id)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a more generous rule keeps no less, and time alone brings nothing back", () => {
    fc.assert(
      fc.property(candidates, rules, fc.constantFrom(...PERIODS, "last" as const, "keepMin" as const), fc.nat(3), fc.nat(60 * DAY), (all, rule, which, more, passes) => {
        const now = kept(all, rule);
        const generous = kept(all, { ...rule, [which]: rule[which] + more });
        const later = kept(all, rule, NOW + passes);
        // keepMin counts what the rest of the rule keeps, so a larger rest may leave it less to add.
        if (which === "keepMin" || rule.keepMin === 0) for (const id of now) expect(generous.has(id)).toBe(true);
        if (rule.keepMin === 0 && !all.some(({ signedMs, storedMs }) => Math.max(signedMs, storedMs) > NOW)) for (const id of later) expect(now.has(id)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
