import fc from "fast-check";
import { expect, test } from "vitest";
import { cronFields, cronSlots, nextRunMs, parseCalendar, parseCronDays, spreadMinutes, systemdCalendars } from "../../../src/policy/schedule/calendar.ts";

const EVERY_DAY = [1, 2, 3, 4, 5, 6, 7];

test("times and weekdays are read, in any order", () => {
  const read = (text: string): unknown => parseCalendar(text);
  expect(read("02:30")).toEqual({ days: EVERY_DAY, times: [{ hour: 2, minute: 30 }] });
  expect(read("14:05,02:30,14:05")).toEqual({ days: EVERY_DAY, times: [{ hour: 2, minute: 30 }, { hour: 14, minute: 5 }] });
  expect(read("Mon..Fri 23:59")).toMatchObject({ days: [1, 2, 3, 4, 5] });
  expect(read("Sun,Tue 00:00")).toMatchObject({ days: [2, 7] });
  expect(read("Sat..Mon 00:00")).toMatchObject({ days: [1, 6, 7] });
});

test.each(["", "2:30", "24:00", "02:60", "02:30:00", "daily", "mon 02:30", "Mon..Fri..Sat 02:30", "Mon.. 02:30", "Mon 02:30 UTC", "02:30,", " 02:30", "02:30\n", "Mon,Foo 02:30"])("%j is refused", (text) => {
  expect(() => parseCalendar(text)).toThrow(expect.objectContaining({ code: "E_CONFIG", hint: expect.stringContaining("HH:MM") }));
});

test("systemd gets one calendar for each time of day", () => {
  expect(systemdCalendars(parseCalendar("02:30"))).toEqual(["*-*-* 02:30:00"]);
  expect(systemdCalendars(parseCalendar("Sat..Mon 14:30,02:30"))).toEqual(["Mon,Sat,Sun *-*-* 02:30:00", "Mon,Sat,Sun *-*-* 14:30:00"]);
});

test("a delay over midnight belongs to the next day", () => {
  const slots = cronSlots(parseCalendar("Sat,Sun 23:40,02:00"), 45);
  expect(slots.map(cronFields)).toEqual(["45 2 * * 0,6", "25 0 * * 0,1"]);
  expect(cronSlots(parseCalendar("23:40"), 45).map(cronFields)).toEqual(["25 0 * * *"]);
  expect(parseCronDays("0,1")).toEqual([1, 7]);
});

test("the next run is the first of the slots to come", () => {
  const at = (text: string): number => new Date(text).getTime();
  const friday = at("2026-11-27T12:00:00");
  const next = (text: string, nowMs = friday): number => nextRunMs(cronSlots(parseCalendar(text), 0), nowMs);
  expect(next("02:30")).toBe(at("2026-11-28T02:30:00"));
  expect(next("02:30,12:01")).toBe(at("2026-11-27T12:01:00"));
  expect(next("12:00")).toBe(at("2026-11-28T12:00:00"));
  expect(next("Fri 12:00")).toBe(at("2026-12-04T12:00:00"));
  expect(next("Mon..Thu 06:00")).toBe(at("2026-11-30T06:00:00"));
});

test("a host always gets the same delay, below the limit, and hosts spread over it", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.integer({ min: 1, max: 720 }), (host, limit) => {
      const minutes = spreadMinutes(host, limit);
      return minutes === spreadMinutes(host, limit) && minutes >= 0 && minutes < limit;
    }),
  );
  const used = new Set(Array.from({ length: 200 }, (_, index) => spreadMinutes(`web${index}`, 45)));
  expect(used.size).toBeGreaterThan(40);
  expect([spreadMinutes("web1", 0), spreadMinutes("web1", 0.5)]).toEqual([0, 0]);
});
