/** All hosts of a vault, a line each. */
import type { FleetHost } from "../engine/fleet.ts";
import { formatDuration, formatSize } from "../units.ts";
import { ageMs } from "./status-text.ts";
import { table } from "./table.ts";

const LISTED_MAX = 1000;

/** A host that should have reported and has not; a retired one is silent by intent. */
export function isSilent({ newest, retired }: FleetHost, rpoMs: number, nowMs: number): boolean {
  return retired === null && (newest === null || ageMs(newest, nowMs) > rpoMs);
}

type Word = "ok" | "silent" | "never" | "retired" | "partial" | "behind" | "flagged" | "faulty";

function wordOf(host: FleetHost, rpoMs: number, nowMs: number): Word {
  const { newest, retired, faults } = host;
  if (retired !== null) return "retired";
  if (faults.length > 0) return "faulty";
  if (newest === null) return "never";
  if (isSilent(host, rpoMs, nowMs)) return "silent";
  if (newest.status !== "complete") return "partial";
  if (Object.values(newest.regions).some((state) => state !== "complete")) return "behind";
  return newest.flags.length > 0 ? "flagged" : "ok";
}

function copies({ newest }: FleetHost): string {
  const states = Object.values(newest?.regions ?? {});
  return newest === null ? "-" : `${states.filter((state) => state === "complete").length}/${states.length}`;
}

export function fleetLines(hosts: readonly FleetHost[], rpoMs: number, nowMs: number): string[] {
  const lines = table(hosts, [
    { title: "HOST", of: ({ host }) => host },
    { title: "STATE", of: (host) => wordOf(host, rpoMs, nowMs) },
    { title: "AGE", right: true, of: ({ newest }) => (newest === null ? "-" : formatDuration(Math.max(0, ageMs(newest, nowMs)))) },
    { title: "COPIES", right: true, of: copies },
    { title: "SOURCE", right: true, of: ({ newest }) => (newest === null ? "-" : formatSize(newest.sourceBytes)) },
    { title: "STORED", right: true, of: ({ newest }) => (newest === null ? "-" : formatSize(newest.storedBytes)) },
  ]);
  const silent = hosts.filter((host) => isSilent(host, rpoMs, nowMs)).length;
  const retired = hosts.filter((host) => host.retired !== null).length;
  return [...lines, `${hosts.length} hosts, ${silent} silent, ${retired} retired`];
}

export function fleetDocument(hosts: readonly FleetHost[], rpoMs: number, nowMs: number): Record<string, unknown> {
  const documents = hosts.map((host) => ({ ...host, state: wordOf(host, rpoMs, nowMs), ageMs: host.newest === null ? null : ageMs(host.newest, nowMs) }));
  return { at: new Date(nowMs).toISOString(), rpoMs, total: hosts.length, hosts: documents.slice(0, LISTED_MAX) };
}
