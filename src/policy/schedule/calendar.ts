/** When scheduled runs start, in the one form that systemd and cron both know: weekdays and times of day, local time. */
import { ColdkeepError } from "../../errors.ts";

export type TimeOfDay = { hour: number; minute: number };

export type Calendar = {
  /** 1 is Monday, 7 Sunday; sorted; all seven for every day. */
  days: readonly number[];
  /** At least one, sorted. */
  times: readonly TimeOfDay[];
};

const DAY_NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;
const ALL_DAYS = [1, 2, 3, 4, 5, 6, 7];
const MINUTES_A_DAY = 24 * 60;

/** How a calendar is written, for hints. */
export const CALENDAR_FORM = "Write HH:MM, several times like 02:30,14:30, or weekdays before them: Mon..Fri 02:30, Sat,Sun 04:00.";

/** `02:30`, `02:30,14:30`, `Mon..Fri 02:30`, `Sat,Sun 04:00`. Throws E_CONFIG. */
export function parseCalendar(text: string): Calendar {
  const match = /^(?:(\S+) )?(\S+)$/.exec(text);
  const days = match?.[1] === undefined ? ALL_DAYS : parseDays(match[1]);
  const times = match?.[2]?.split(",").map(parseTime);
  if (match === null || days === undefined || times === undefined || times.includes(undefined)) {
    throw new ColdkeepError("E_CONFIG", `"${text}" is not a time to run at`, { hint: CALENDAR_FORM });
  }
  const minutes = times.flatMap((time) => (time === undefined ? [] : [minuteOf(time)]));
  return { days, times: ascending(minutes).map(timeOf) };
}

function parseDays(text: string): number[] | undefined {
  const days = new Set<number>();
  for (const part of text.split(",")) {
    const [first, last] = part.split("..").map((name) => DAY_NAMES.findIndex((known) => known === name) + 1);
    if (!first || last === 0 || part.split("..").length > 2) return undefined;
    // Sat..Mon goes over the end of the week, as it does for systemd.
    for (let day = first; ; day = (day % 7) + 1) {
      days.add(day);
      if (day === (last ?? first)) break;
    }
  }
  return ascending(days);
}

function parseTime(text: string): TimeOfDay | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  return match === null ? undefined : { hour: Number(match[1]), minute: Number(match[2]) };
}

function ascending(numbers: Iterable<number>): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

function minuteOf({ hour, minute }: TimeOfDay): number {
  return hour * 60 + minute;
}

function timeOf(minute: number): TimeOfDay {
  return { hour: Math.floor(minute / 60), minute: minute % 60 };
}

function clock({ hour, minute }: TimeOfDay): string {
  return `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`;
}

/** The values for systemd's `OnCalendar=`, one for each time of day (systemd.time(7)). */
export function systemdCalendars({ days, times }: Calendar): string[] {
  const names = days.length === 7 ? "" : `${days.map((day) => DAY_NAMES[day - 1]).join(",")} `;
  return times.map((time) => `${names}*-*-* ${clock(time)}:00`);
}

/** One line of a crontab: a minute of the day, and the days it belongs to. */
export type CronSlot = TimeOfDay & { days: readonly number[] };

/** The calendar `delayMinutes` (below a day) later; what passes midnight belongs to the day after. */
export function cronSlots({ days, times }: Calendar, delayMinutes: number): CronSlot[] {
  return times.map((time) => {
    const minute = minuteOf(time) + delayMinutes;
    const passesMidnight = minute >= MINUTES_A_DAY;
    return { ...timeOf(minute % MINUTES_A_DAY), days: passesMidnight ? ascending(days.map((day) => (day % 7) + 1)) : days };
  });
}

/** The five time fields of a crontab line (crontab(5)). */
export function cronFields({ hour, minute, days }: CronSlot): string {
  // Sunday as 0, which every cron knows.
  return `${minute} ${hour} * * ${days.length === 7 ? "*" : ascending(days.map((day) => day % 7)).join(",")}`;
}

/** The days of the last of these fields, as `cronFields` writes it. */
export function parseCronDays(field: string): number[] {
  return field === "*" ? ALL_DAYS : ascending(field.split(",").map((day) => Number(day) || 7));
}

/** When the next of the slots comes after `nowMs`, by the local time of this machine. */
export function nextRunMs(slots: readonly CronSlot[], nowMs: number): number {
  const today = new Date(nowMs);
  const starts = slots.flatMap(({ hour, minute, days }) =>
    [0, 1, 2, 3, 4, 5, 6, 7].flatMap((offset) => {
      const start = new Date(today.getFullYear(), today.getMonth(), today.getDate() + offset, hour, minute);
      return start.getTime() > nowMs && days.includes(((start.getDay() + 6) % 7) + 1) ? [start.getTime()] : [];
    }),
  );
  return Math.min(...starts);
}

/**
 * How many minutes below `limitMinutes` a host runs after the time of its calendar: always the same for it, and spread over
 * hosts, so that a hundred of them do not ask one store in the same minute.
 */
export function spreadMinutes(host: string, limitMinutes: number): number {
  if (limitMinutes < 1) return 0;
  // FNV-1a: nobody has to be kept from guessing it, and it needs nothing but arithmetic.
  let hash = 0x811c9dc5;
  for (const character of host) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash % Math.floor(limitMinutes);
}
