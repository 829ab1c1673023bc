import fc from "fast-check";
import { expect, test } from "vitest";
import { lastsLong, lockAlarmMs, lockEndMs, lockFault, lockMarginMs, type LockRule, lockToSet, type ObjectLock } from "../../src/policy/lock.ts";
import { needsThaw, paidUntilMs } from "../../src/policy/storage-class.ts";

const DAY_MS = 86_400_000;
const NOW = Date.parse("2030-03-01T02:30:00.250Z");
const modes = fc.constantFrom("governance", "compliance");
const rules: fc.Arbitrary<LockRule> = fc.record({ mode: modes, days: fc.integer({ min: 1, max: 36_500 }) });
const found: fc.Arbitrary<ObjectLock | null> = fc.option(fc.record({ mode: modes, untilMs: fc.integer({ min: NOW - 400 * DAY_MS, max: NOW + 40_000 * DAY_MS }) }));

test("a lock that is asked for is never shorter or weaker than the one that is there, and lasts as the rule says", () => {
  fc.assert(
    fc.property(rules, found, (rule, lock) => {
      const wanted = lockToSet(lock, rule, NOW);
      const untilMs = wanted?.untilMs ?? lock?.untilMs ?? 0;
      expect(untilMs).toBeGreaterThanOrEqual(NOW + (rule.days * DAY_MS) / 2);
      expect(untilMs).toBeGreaterThanOrEqual(lock?.untilMs ?? 0);
      if (wanted === null) return;
      expect(wanted.mode === "governance" && lock?.mode === "compliance").toBe(false);
      expect(wanted.untilMs % 1000).toBe(0);
      expect(lastsLong(wanted.untilMs, rule, NOW)).toBe(true);
    }),
  );
});

test("what was locked by the rule is renewed once in half its days, and told only after that", () => {
  const rule: LockRule = { mode: "compliance", days: 30 };
  const lock: ObjectLock = { mode: "compliance", untilMs: lockEndMs(rule, NOW) };
  const after = (days: number): unknown[] => [lastsLong(lock.untilMs, rule, NOW + days * DAY_MS), lockToSet(lock, rule, NOW + days * DAY_MS) === null, lockFault(lock, rule, NOW + days * DAY_MS)];
  expect(after(14)).toEqual([true, true, null]);
  expect(after(16)).toEqual([false, false, null]);
  expect(after(23)).toEqual([false, false, "short"]);
  expect(after(31)).toEqual([false, false, "over"]);
  expect(lockFault(null, rule, NOW)).toBe("none");
  expect(lockFault({ ...lock, mode: "governance" }, rule, NOW)).toBe("weak");
  expect(lockFault(lock, { ...rule, mode: "governance" }, NOW)).toBeNull();
  expect(lockAlarmMs(rule)).toBeLessThan(lockMarginMs(rule));
});

test("a remembered end that no lock of ours can have is not believed", () => {
  expect(lastsLong(lockEndMs({ mode: "compliance", days: 31 }, NOW), { mode: "compliance", days: 30 }, NOW)).toBe(false);
  expect(lastsLong(undefined, { mode: "compliance", days: 30 }, NOW)).toBe(false);
});

test("of storage classes the frozen ones are known, and how long others are paid for", () => {
  expect(["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD", undefined].map(needsThaw)).toEqual([true, true, false, false, false]);
  expect(paidUntilMs("DEEP_ARCHIVE", NOW)).toBe(NOW + 180 * DAY_MS);
  expect(paidUntilMs("STANDARD", NOW)).toBeUndefined();
});
