/** Sizes, durations and times as people write them; numbers inside the program carry their unit in the name. */
import { ColdkeepError } from "./errors.ts";

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const SIZE_UNITS: Record<string, number> = {
  "": 1,
  b: 1,
  kib: KIB,
  mib: MIB,
  gib: GIB,
  tib: 1024 * GIB,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
};

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

function parseUnit(text: string, units: Record<string, number>, what: string, example: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const factor = match ? units[(match[2] ?? "").toLowerCase()] : undefined;
  if (!match || factor === undefined) {
    throw new ColdkeepError("E_CONFIG", `"${text}" is not a ${what}`, { hint: `Write it like ${example}.` });
  }
  return Math.round(Number(match[1]) * factor);
}

/** Bytes from `64MiB`, `1.5GB` or a bare number. Throws E_CONFIG. */
export function parseSize(text: string): number {
  return parseUnit(text, SIZE_UNITS, "size", "64MiB");
}

/** Milliseconds from `90s`, `24h`, `90d`. A bare number is refused: its unit would be a guess. Throws E_CONFIG. */
export function parseDuration(text: string): number {
  return parseUnit(text, DURATION_UNITS, "duration", "24h or 90d");
}

/** `1.4 GiB` for people. */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `850ms`, `12.3s`, `4m 05s`, `2h 10m`, `12d 4h` for people. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${String(seconds % 60).padStart(2, "0")}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 72 ? `${hours}h ${String(minutes % 60).padStart(2, "0")}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** Local time with its offset, `2026-11-23 19:04:05 +01:00`, for people; data carries UTC. */
export function formatLocalTime(ms: number): string {
  const date = new Date(ms);
  const offset = -date.getTimezoneOffset();
  const local = new Date(ms + offset * 60_000).toISOString();
  const sign = offset < 0 ? "-" : "+";
  const pad = (n: number): string => String(n).padStart(2, "0");
  return `${local.slice(0, 10)} ${local.slice(11, 19)} ${sign}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
}
