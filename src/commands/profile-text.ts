/** A machine's profile for people, by section, in 80 columns. */
import type { Profile } from "../format/profile.ts";
import { formatLocalTime, formatSize } from "../units.ts";
import { printable } from "./printable.ts";

const WIDTH = 80;
const INDENT = "  ";
/** Longer lists are cut, and say so; `--json` has all of it. */
const LISTED_MAX = 40;

/** Words one after another in lines of 80 columns. */
function flowed(words: readonly string[], max = 400): string[] {
  const lines: string[] = [];
  let line = INDENT.trimEnd();
  for (const word of words.slice(0, max).map(printable)) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== "") {
      lines.push(line);
      line = INDENT.trimEnd();
    }
    line += line === INDENT.trimEnd() ? `${INDENT.slice(line.length)}${word}` : ` ${word}`;
  }
  if (line.trim() !== "") lines.push(line);
  return words.length > max ? [...lines, `${INDENT}… ${words.length - max} more`] : lines;
}

/** A list, an item a line. */
function listed(items: readonly string[]): string[] {
  const shown = items.slice(0, LISTED_MAX).map((item) => `${INDENT}${printable(item)}`);
  return items.length > LISTED_MAX ? [...shown, `${INDENT}… ${items.length - LISTED_MAX} more`] : shown;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines];
}

function hardwareLines({ hardware }: Profile): string[] {
  const { arch, cpus, memoryBytes, swapBytes, kernel, virtualization, peakMemoryBytes, peakSwapBytes, peakSince } = hardware;
  const sinceMs = Date.parse(peakSince ?? "");
  const swapPeak = peakSwapBytes === null || swapBytes === 0 ? "" : `, ${formatSize(peakSwapBytes)} of swap`;
  const peak = peakMemoryBytes === null || Number.isNaN(sinceMs) ? [] : [`most in use known of: ${formatSize(peakMemoryBytes)}${swapPeak}, since ${formatLocalTime(sinceMs)}`];
  return [`${arch}, ${cpus} processors, ${formatSize(memoryBytes)} of memory, ${formatSize(swapBytes)} of swap`, `Linux ${kernel}${virtualization === "" ? "" : `, virtualization: ${virtualization}`}`, ...peak].map((line) => `${INDENT}${printable(line)}`);
}

function packageLines({ packages }: Profile): string[] {
  if (packages.manager === "none") return [`${INDENT}no package manager that is understood`];
  const manual = packages.installed.filter((each) => each.manual);
  const holds = packages.holds.length === 0 ? [] : [`${INDENT}held: ${packages.holds.map(printable).join(" ")}`];
  return [`${INDENT}${packages.installed.length} installed, ${manual.length} of them asked for:`, ...flowed(manual.map(({ name }) => name)), ...holds];
}

function serviceLines({ units }: Profile): string[] {
  const enabled = units.filter(({ state }) => state.startsWith("enabled"));
  const masked = units.filter(({ state }) => state.startsWith("masked"));
  return [...flowed(enabled.map(({ name }) => name)), ...(masked.length === 0 ? [] : [`${INDENT}masked:`, ...flowed(masked.map(({ name }) => name))])];
}

/** Every line safe to print. */
export function profileText(profile: Profile): string[] {
  const { os, hostName, takenAt, mounts, users, ports, outside, reenter, uncovered, gaps } = profile;
  const takenMs = Date.parse(takenAt);
  const people = users.filter(({ system }) => !system);
  return [
    printable(`${hostName}: ${os.name || os.id}${Number.isNaN(takenMs) ? "" : `, as of ${formatLocalTime(takenMs)}`}`),
    ...section("hardware", hardwareLines(profile)),
    ...section("file systems", listed(mounts.map(({ path, type, sizeBytes, usedBytes }) => `${path} (${type}): ${sizeBytes === 0 ? "not measured" : `${formatSize(usedBytes)} of ${formatSize(sizeBytes)} in use`}`))),
    ...section("packages", packageLines(profile)),
    ...section("where packages come from", listed(profile.packages.aptFiles.map(({ path }) => path))),
    ...section("users", listed(people.map(({ name, uid, home }) => `${name} (${uid}) ${home}`))),
    ...section("enabled units", serviceLines(profile)),
    ...section("crontabs", listed(profile.crontabs)),
    ...section("ports listened on", listed(ports.map(({ protocol, address, port, process, unit }) => `${protocol} ${address.includes(":") ? `[${address}]` : address}:${port} ${unit || process}`.trimEnd()))),
    ...section("firewall", profile.firewall === null ? [] : [`${INDENT}${printable(profile.firewall.tool)}, ${profile.firewall.rules.split("\n").length} lines`]),
    ...section("container images", listed(profile.images.map(({ engine, reference }) => `${engine} ${reference}`))),
    ...section("programs outside of packages", listed(outside.map(({ path, bytes, what }) => `${path} (${what === "program" ? formatSize(bytes) : what})`))),
    ...section("configuration of its own", profile.configuration.length === 0 ? [] : [`${INDENT}${profile.configuration.length} files below /etc, ${profile.sysctl.length} settings of sysctl`]),
    ...section("to be entered again on a new machine", listed(reenter.map(({ path, why }) => `${path}: ${why}`))),
    ...section("data that no source covers", uncoveredText(uncovered)),
    ...section("not found out", listed(gaps.map(({ what, why }) => `${what}: ${why}`))),
  ];
}

/** Largest first, a line each. */
export function uncoveredText(uncovered: Profile["uncovered"]): string[] {
  return listed(uncovered.map(({ path, bytes, why, process }) => `${path} (${formatSize(bytes)}): ${why}${process === "" ? "" : `, ${process}`}`));
}
