/** What the stores' own processes take: they run on the same processors as the contestants, and are part of every time. */
import { readdirSync, readFileSync } from "node:fs";

const SERVERS = new Set(["ceph-osd", "ceph-mon", "radosgw"]);
/** The kernel counts in hundredths of a second for programs, whatever its own clock (USER_HZ). */
const MS_A_TICK = 10;

export type ProcessStat = { name: string; parent: number; cpuMs: number };

/** A process's name, parent and time so far from its /proc/PID/stat; undefined for anything else. */
export function parseStat(text: string): ProcessStat | undefined {
  // The name may hold spaces and brackets itself.
  const [begin, end] = [text.indexOf("("), text.lastIndexOf(")")];
  const fields = text.slice(end + 2).split(" ");
  const [parent, user, system] = [1, 11, 12].map((index) => Number(fields[index]));
  if (begin < 0 || end < begin || parent === undefined || user === undefined || system === undefined) return undefined;
  if (![parent, user, system].every(Number.isInteger)) return undefined;
  return { name: text.slice(begin + 1, end), parent, cpuMs: (user + system) * MS_A_TICK };
}

/** Milliseconds that the servers which this process started have taken so far; undefined when there are none. */
export function storeCpuMs(): number | undefined {
  const servers = readdirSync("/proc").flatMap((name) => {
    const stat = /^\d+$/.test(name) ? statOf(name) : undefined;
    return stat !== undefined && stat.parent === process.pid && SERVERS.has(stat.name) ? [stat.cpuMs] : [];
  });
  return servers.length === 0 ? undefined : servers.reduce((sum, ms) => sum + ms, 0);
}

function statOf(pid: string): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    // It ended meanwhile.
    return undefined;
  }
}
