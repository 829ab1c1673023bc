/** Which packages a rebuilt machine gets: those it had, in the versions it had where they can still be had. */
import type { Profile } from "../format/profile.ts";
import { isMachineBound } from "./never-touch.ts";

type Packages = Profile["packages"];

/** What is installed here, and what can be had: names as apt has them, `name:arch` where the architecture is not this machine's. */
export type PackagesHere = {
  arch: string;
  /** Name → version. */
  installed: ReadonlyMap<string, string>;
  /** Name → versions, the one apt would take first. */
  available: ReadonlyMap<string, readonly string[]>;
};

export type PackagePlan = {
  install: { name: string; /** Null: whichever apt takes. */ version: string | null; manual: boolean }[];
  /** Installed here already, in whatever version. */
  present: number;
  /** Come in another version than they had. */
  differing: { name: string; was: string; is: string }[];
  /** Somebody asked for them then, and no source has them. */
  unavailable: { name: string; version: string }[];
  /** Were drawn in by others then, and no source has them: whatever needs them draws in their successors. */
  superseded: string[];
  /** Kernel and boot: the new machine has its own. */
  leftOut: string[];
  /** Architectures beside this machine's. */
  architectures: string[];
  holds: string[];
};

/** A package's name for apt on this machine. */
export function packageLabel({ name, arch }: Pick<Packages["installed"][number], "name" | "arch">, native: string): string {
  return arch === "" || arch === "all" || arch === native ? name : `${name}:${arch}`;
}

export function planPackages({ installed, holds }: Pick<Packages, "installed" | "holds">, here: PackagesHere): PackagePlan {
  const plan: PackagePlan = { install: [], present: 0, differing: [], unavailable: [], superseded: [], leftOut: [], architectures: [], holds: [] };
  const architectures = new Set<string>();
  for (const each of installed) {
    const { version, manual, arch } = each;
    const name = packageLabel(each, here.arch);
    if (isMachineBound(each.name)) {
      plan.leftOut.push(name);
      continue;
    }
    if (name.includes(":")) architectures.add(arch);
    const versions = here.available.get(name) ?? [];
    const present = here.installed.get(name);
    if (present !== undefined) {
      plan.present++;
      if (present !== version) plan.differing.push({ name, was: version, is: present });
    } else if (versions.includes(version)) plan.install.push({ name, version, manual });
    else if (versions[0] !== undefined) {
      plan.install.push({ name, version: null, manual });
      plan.differing.push({ name, was: version, is: versions[0] });
    } else if (manual) plan.unavailable.push({ name, version });
    else plan.superseded.push(name);
  }
  const planned = new Set([...here.installed.keys(), ...plan.install.map(({ name }) => name)]);
  return { ...plan, architectures: [...architectures], holds: holds.filter((name) => planned.has(name)) };
}
