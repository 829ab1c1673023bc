/** What the machine is: its distribution, its processor, its memory, and how much of it was ever seen in use. */
import { availableParallelism, hostname, machine, release } from "node:os";
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";

const TOOL_MS = 1500;

/** `KEY=value` lines as a shell reads them (os-release(5)). */
export function parseOsRelease(text: string): Profile["os"] {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, key, raw = ""] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line.trim()) ?? [];
    if (key === undefined) continue;
    const quoted = /^(["'])(.*)\1$/.exec(raw)?.[2] ?? raw;
    values.set(key, quoted.replaceAll(/\\(["$`\\])/g, "$1"));
  }
  const of = (key: string): string => values.get(key) ?? "";
  return { id: of("ID") || "linux", versionId: of("VERSION_ID"), codename: of("VERSION_CODENAME"), name: of("PRETTY_NAME") };
}

export function readOs(look: Look): Profile["os"] {
  const text = look.text("/etc/os-release") ?? look.text("/usr/lib/os-release");
  if (text === null) look.gap("os", "there is no /etc/os-release");
  return parseOsRelease(text ?? "");
}

export function readHostName(look: Look): string {
  return look.isLive ? hostname() : (look.text("/etc/hostname")?.trim() ?? "");
}

/** Bytes of a line of /proc/meminfo. */
function meminfo(text: string, key: string): number | null {
  const kib = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

export type MemoryReading = { memoryBytes: number; swapBytes: number; usedBytes: number | null; swapUsedBytes: number | null };

/** What /proc/meminfo says; in use is what the kernel could not give to a new program. */
export function parseMemory(text: string): MemoryReading {
  const total = meminfo(text, "MemTotal") ?? 0;
  const available = meminfo(text, "MemAvailable");
  const swap = meminfo(text, "SwapTotal") ?? 0;
  const swapFree = meminfo(text, "SwapFree");
  return { memoryBytes: total, swapBytes: swap, usedBytes: available === null ? null : total - available, swapUsedBytes: swapFree === null ? null : swap - swapFree };
}

/** A container's own limit: the file is there in a container only, for the outermost group has none. */
function containerLimit(look: Look): number | null {
  const text = look.isLive ? look.text("/sys/fs/cgroup/memory.max") : null;
  const bytes = Number(text ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

type Peak = { memoryBytes: number; swapBytes: number; sinceMs: number };

/**
 * The most in use of what `sadf -d FILE -- -r -S` prints (sysstat): lines of values under a `# hostname;…` line that names
 * them. Null where there are none.
 */
export function parseSar(text: string, totalBytes: number): Peak | null {
  let columns: string[] = [];
  let peak: Peak | null = null;
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) columns = line.slice(1).trim().split(";");
    if (line.startsWith("#") || line === "") continue;
    const cells = line.split(";");
    const of = (name: string): number => Number(cells[columns.indexOf(name)] ?? Number.NaN);
    const atMs = Date.parse(`${cells[columns.indexOf("timestamp")] ?? ""}`.replace(" UTC", "Z").replace(" ", "T"));
    if (Number.isNaN(atMs)) continue;
    const available = of("kbavail") * 1024;
    const swap = of("kbswpused") * 1024;
    peak ??= { memoryBytes: 0, swapBytes: 0, sinceMs: atMs };
    if (available <= totalBytes) peak.memoryBytes = Math.max(peak.memoryBytes, totalBytes - available);
    if (swap >= 0) peak.swapBytes = Math.max(peak.swapBytes, swap);
    peak.sinceMs = Math.min(peak.sinceMs, atMs);
  }
  return peak;
}

/** sysstat's file of a day, by its UTC date, in both of its naming schemes. */
function sarFiles(look: Look, nowMs: number): string[] {
  const names = ["/var/log/sysstat", "/var/log/sa"].flatMap((directory) => look.names(directory).map((name) => `${directory}/${name}`));
  const days = [nowMs, nowMs - 86_400_000].map((ms) => new Date(ms).toISOString().slice(0, 10).replaceAll("-", ""));
  return names.filter((path) => days.some((day) => path.endsWith(`/sa${day}`) || path.endsWith(`/sa${day.slice(6)}`)));
}

async function sarPeak(look: Look, nowMs: number, totalBytes: number): Promise<Peak | null> {
  const texts = await Promise.all(sarFiles(look, nowMs).map((file) => look.tool("memory peak", ["sadf", "-d", file, "--", "-r", "-S"], TOOL_MS)));
  const peaks = texts.flatMap((text) => (text === null ? [] : (parseSar(text, totalBytes) ?? [])));
  if (peaks.length === 0) return null;
  const most = (of: (peak: Peak) => number): number => Math.max(...peaks.map(of));
  return { memoryBytes: most((peak) => peak.memoryBytes), swapBytes: most((peak) => peak.swapBytes), sinceMs: Math.min(...peaks.map(({ sinceMs }) => sinceMs)) };
}

/** Debian's name of the architecture: what dpkg itself was built for. */
function readArch(look: Look, dpkgStatus: string | null): string {
  const stanza = dpkgStatus === null ? -1 : dpkgStatus.search(/^Package: dpkg$/m);
  const arch = stanza < 0 ? undefined : /^Architecture: (\S+)$/m.exec((dpkgStatus ?? "").slice(stanza))?.[1];
  return arch ?? (look.isLive ? machine() : "");
}

async function readVirtualization(look: Look): Promise<string> {
  // Its exit status is 1 where it says `none`.
  const said = await look.tool("virtualization", ["systemd-detect-virt"], TOOL_MS, [0, 1]);
  if (said !== null) return said.trim();
  const container = look.isLive ? look.text("/run/systemd/container") : null;
  if (container !== null) return container.trim();
  return look.isLive && look.stat("/.dockerenv") !== null ? "docker" : "";
}

/** `dpkgStatus` is the text of dpkg's own list. The peak is what is in use now, and what sysstat measured today and yesterday. */
export async function readHardware(look: Look, dpkgStatus: string | null, nowMs: number): Promise<Profile["hardware"]> {
  const memory = parseMemory((look.isLive ? look.text("/proc/meminfo") : null) ?? "");
  const limit = containerLimit(look);
  const [virtualization, sar] = await Promise.all([readVirtualization(look), sarPeak(look, nowMs, memory.memoryBytes)]);
  const isKnown = memory.usedBytes !== null;
  return {
    arch: readArch(look, dpkgStatus),
    kernel: look.isLive ? release() : "",
    virtualization,
    cpus: look.isLive ? availableParallelism() : 0,
    memoryBytes: limit === null ? memory.memoryBytes : Math.min(limit, memory.memoryBytes),
    swapBytes: memory.swapBytes,
    peakMemoryBytes: isKnown ? Math.max(memory.usedBytes ?? 0, sar?.memoryBytes ?? 0) : null,
    peakSwapBytes: memory.swapUsedBytes === null ? null : Math.max(memory.swapUsedBytes, sar?.swapBytes ?? 0),
    peakSince: isKnown ? new Date(sar?.sinceMs ?? nowMs).toISOString() : null,
  };
}
