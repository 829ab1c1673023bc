/** How a machine differs from the one its profile describes: by identities that stay, never by the kernel's names of devices. */
import type { Profile } from "../format/profile.ts";

type DriftKind = "system" | "package" | "source" | "configuration" | "unit" | "crontab" | "user" | "group" | "port" | "mount" | "sysctl" | "firewall" | "image" | "program";

export type Drift = {
  kind: DriftKind;
  change: "added" | "removed" | "changed";
  /** What drifted: a package, a path, a unit. */
  name: string;
  /** As it was and as it is; empty where there was or is nothing to say. */
  before: string;
  after: string;
};

/** Name → what is compared. */
type Facts = ReadonlyMap<string, string>;

function facts<Item>(items: readonly Item[], nameOf: (item: Item) => string, valueOf: (item: Item) => string): Facts {
  return new Map(items.map((item) => [nameOf(item), valueOf(item)]));
}

function compare(kind: DriftKind, before: Facts, after: Facts, show: (value: string) => string = (value) => value): Drift[] {
  const removed = [...before].filter(([name]) => !after.has(name)).map(([name, value]): Drift => ({ kind, change: "removed", name, before: show(value), after: "" }));
  const rest = [...after].flatMap(([name, value]): Drift[] => {
    const old = before.get(name);
    if (old === value) return [];
    return [{ kind, change: old === undefined ? "added" : "changed", name, before: show(old ?? ""), after: show(value) }];
  });
  return [...removed, ...rest].toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** Who listens is not known to everybody: then that is no drift. */
function isKnownPort({ change, before, after }: Drift): boolean {
  return change !== "changed" || (before !== "" && after !== "");
}

/** A digest says only that something changed. */
function unshown(): string {
  return "";
}

/** A port that was handed out for a while to a process nobody starts as a service. */
const EPHEMERAL_MIN = 32_768;

function portFacts({ ports }: Profile): Facts {
  const lasting = ports.filter(({ port, unit }) => port < EPHEMERAL_MIN || (unit !== "" && !unit.endsWith(".scope")));
  return facts(lasting, ({ protocol, address, port }) => `${protocol} ${address.includes(":") ? `[${address}]` : address}:${port}`, ({ unit, process }) => unit || process);
}

function systemFacts({ os, hardware }: Profile): Facts {
  return new Map([
    ["os", `${os.id} ${os.versionId}`.trim()],
    ["architecture", hardware.arch],
    ["kernel", hardware.kernel],
    ["processors", String(hardware.cpus)],
    // To the tenth: the kernel keeps some of it, another part each release.
    ["memory", `${(hardware.memoryBytes / 1024 ** 3).toFixed(1)} GiB`],
    ["swap", `${(hardware.swapBytes / 1024 ** 3).toFixed(1)} GiB`],
  ]);
}

/** What of a profile could not be found out says nothing: it is left out on both sides. */
function unknownKinds(...profiles: readonly Profile[]): Set<DriftKind> {
  const of = (what: string): DriftKind | undefined => GAP_KINDS.find(([pattern]) => pattern.test(what))?.[1];
  return new Set(profiles.flatMap(({ gaps }) => gaps.flatMap(({ what }) => of(what) ?? [])));
}

const GAP_KINDS: readonly [RegExp, DriftKind][] = [
  [/^units$/, "unit"],
  [/^(?:firewall)$/, "firewall"],
  [/images$/, "image"],
  [/^(?:\/var\/spool\/cron|crontabs)/, "crontab"],
  [/^mounts$/, "mount"],
  [/^configuration$/, "configuration"],
  [/^programs outside/, "program"],
];

/** From one profile to another of the same host, kind by kind. */
export function driftOf(before: Profile, after: Profile): Drift[] {
  const both = (kind: DriftKind, of: (profile: Profile) => Facts, show?: (value: string) => string): Drift[] => compare(kind, of(before), of(after), show);
  const unknown = unknownKinds(before, after);
  const all = [
    both("system", systemFacts),
    both("package", ({ packages }) => facts(packages.installed, ({ name, arch }) => `${name}:${arch}`, ({ version }) => version)),
    both("source", ({ packages }) => facts(packages.aptFiles, ({ path }) => path, ({ base64 }) => base64), unshown),
    both("configuration", ({ configuration }) => facts(configuration, ({ path }) => path, ({ sha256 }) => sha256), unshown),
    both("unit", ({ units }) => facts(units, ({ name }) => name, ({ state }) => state)),
    both("crontab", ({ crontabs }) => facts(crontabs, (path) => path, () => "")),
    both("user", ({ users }) => facts(users, ({ name }) => name, ({ uid, gid, home, shell }) => `${uid}:${gid} ${home} ${shell}`)),
    both("group", ({ groups }) => facts(groups, ({ name }) => name, ({ gid, members }) => `${gid} ${members.toSorted().join(",")}`.trim())),
    both("port", portFacts).filter(isKnownPort),
    both("mount", ({ mounts }) => facts(mounts, ({ path }) => path, ({ type }) => type)),
    both("sysctl", ({ sysctl }) => facts(sysctl, ({ key }) => key, ({ value }) => value)),
    both("firewall", ({ firewall }) => new Map(firewall === null ? [] : [[firewall.tool, firewall.rules]]), unshown),
    both("image", ({ images }) => facts(images, ({ engine, reference }) => `${engine} ${reference}`, ({ digest }) => digest)),
    both("program", ({ outside }) => facts(outside, ({ path }) => path, ({ sha256, bytes }) => sha256 || String(bytes)), unshown),
  ].flat();
  return all.filter(({ kind }) => !unknown.has(kind));
}
