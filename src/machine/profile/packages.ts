/** What dpkg and apt know, read from their own files: no process, and the same in a chroot and for a user who is not root. */
import type { Profile } from "../../format/profile.ts";

export const DPKG_STATUS = "/var/lib/dpkg/status";

type Package = Profile["packages"]["installed"][number];

export type DpkgList = {
  installed: Omit<Package, "manual">[];
  holds: string[];
  /** Configuration file → MD5 of what the package brought. */
  conffiles: Map<string, string>;
};

function field(stanza: string, name: string): string {
  const start = stanza.startsWith(`${name}: `) ? 0 : stanza.indexOf(`\n${name}: `) + 1;
  if (start === 0 && !stanza.startsWith(`${name}: `)) return "";
  const end = stanza.indexOf("\n", start);
  return stanza.slice(start + name.length + 2, end < 0 ? undefined : end).trim();
}

/** Installed packages of a dpkg status file (deb-status: paragraphs of `Field: value`), by name. */
export function parseDpkgStatus(text: string): DpkgList {
  const list: DpkgList = { installed: [], holds: [], conffiles: new Map() };
  for (const stanza of text.split("\n\n")) {
    const [want = "", flag = "", state = ""] = field(stanza, "Status").split(" ");
    const name = field(stanza, "Package");
    if (name === "" || flag === "" || state !== "installed") continue;
    const arch = field(stanza, "Architecture");
    list.installed.push({ name, version: field(stanza, "Version"), arch });
    if (want === "hold") list.holds.push(name);
    const at = stanza.indexOf("\nConffiles:\n");
    if (at < 0) continue;
    for (const line of stanza.slice(at + "\nConffiles:\n".length).split("\n")) {
      const [, path, md5, obsolete] = /^ (\/.*) ([0-9a-f]{32})( obsolete)?$/.exec(line) ?? [];
      if (path === undefined) break;
      if (md5 !== undefined && obsolete === undefined) list.conffiles.set(path, md5);
    }
  }
  list.installed.sort((a, b) => (a.name === b.name ? (a.arch < b.arch ? -1 : 1) : a.name < b.name ? -1 : 1));
  list.holds.sort();
  return list;
}

/** Packages that apt drew in by itself, as `name:arch`, of its extended_states. */
export function parseAutoInstalled(text: string): Set<string> {
  const auto = new Set<string>();
  for (const stanza of text.split("\n\n")) {
    if (field(stanza, "Auto-Installed") === "1") auto.add(`${field(stanza, "Package")}:${field(stanza, "Architecture")}`);
  }
  return auto;
}

/** The packages with their manual marks: as `apt-mark showmanual` counts, whatever apt did not draw in. */
export function withMarks(list: DpkgList, auto: ReadonlySet<string>, arch: string): Package[] {
  // apt keeps the mark of an `all` package under the machine's own architecture.
  return list.installed.map((each) => ({ ...each, manual: !auto.has(`${each.name}:${each.arch === "all" ? arch : each.arch}`) && !auto.has(`${each.name}:${each.arch}`) }));
}
