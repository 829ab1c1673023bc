/** What the kernel was told: settings of sysctl, rules of the firewall. */
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";

const TOOL_MS = 1500;
/** In the order of sysctl.d(5): a file of the same name in an earlier folder hides the later ones. */
const SYSCTL_FOLDERS = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
const RULES_BYTES_MAX = 512 * 1024;

/** `key = value` lines of a sysctl file; keys with slashes become the form with dots. Wildcards are kept as they are. */
export function parseSysctl(text: string): [key: string, value: string][] {
  return text.split("\n").flatMap((line): [string, string][] => {
    const [, raw, value = ""] = /^\s*-?\s*([\w./*-]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (raw === undefined) return [];
    const slash = raw.indexOf("/");
    const dot = raw.indexOf(".");
    // Where a slash comes first the two change places (sysctl.d(5)).
    const isPath = slash >= 0 && (dot < 0 || slash < dot);
    const key = isPath ? raw.replaceAll(/[./]/g, (each) => (each === "/" ? "." : "/")) : raw;
    return [[key, value.trim()]];
  });
}

/** The value in force, as /proc/sys has it. */
function inForce(look: Look, key: string): string | null {
  const path = `/proc/sys/${key.replaceAll(/[./]/g, (each) => (each === "." ? "/" : "."))}`;
  return look.isLive && !key.includes("*") && look.stat(path)?.isFile() === true ? (look.text(path)?.trim().replaceAll(/\s+/g, " ") ?? null) : null;
}

export function readSysctl(look: Look): Profile["sysctl"] {
  const files = new Map<string, string>();
  for (const folder of SYSCTL_FOLDERS) {
    for (const name of look.names(folder)) if (name.endsWith(".conf") && !files.has(name)) files.set(name, `${folder}/${name}`);
  }
  const ordered = [...files].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
  const set = new Map([...ordered, "/etc/sysctl.conf"].flatMap((path) => parseSysctl(look.text(path) ?? "")));
  return [...set].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => ({ key, value: inForce(look, key) ?? value }));
}

/** Rules as iptables-save prints them, without its times and counters, which change by themselves. */
export function plainIptables(text: string): string {
  return text.split("\n").filter((line) => !line.startsWith("#")).map((line) => line.replaceAll(/\[\d+:\d+\]/g, "[0:0]")).join("\n");
}

/** A firewall that lets everything through has chains, and no rules in them. */
function hasRules(text: string): boolean {
  return /^-A /m.test(text) || /^:\w+ (?:DROP|REJECT)/m.test(text);
}

export async function readFirewall(look: Look): Promise<Profile["firewall"]> {
  const kept = (tool: string, rules: string): Profile["firewall"] => {
    if (rules.length > RULES_BYTES_MAX) look.gap("firewall", `its rules are ${rules.length} characters long: only their beginning is kept`);
    return { tool, rules: rules.slice(0, RULES_BYTES_MAX) };
  };
  const nft = await look.tool("firewall", ["nft", "--stateless", "list", "ruleset"], TOOL_MS);
  if (nft !== null && nft.trim() !== "") return kept("nft", nft.trim());
  const iptables = await look.tool("firewall", ["iptables-save"], TOOL_MS);
  const plain = plainIptables(iptables ?? "").trim();
  if (hasRules(plain)) return kept("iptables", plain);
  const ufw = look.text("/etc/ufw/ufw.conf");
  if (ufw !== null && /^ENABLED=yes/m.test(ufw)) return kept("ufw", (look.text("/etc/ufw/user.rules") ?? "").trim());
  return null;
}
