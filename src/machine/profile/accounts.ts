/** Users and groups, without their passwords: the profile lies in a catalog that the host itself can read. */
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";

const UID_MIN = 1000;
const UID_MAX = 60_000;
const ID_MAX = 0xffff_ffff;

type Limits = { min: number; max: number };

function limits(text: string, what: "UID" | "GID"): Limits {
  const of = (key: string, fallback: number): number => Number(new RegExp(`^\\s*${key}\\s+(\\d+)`, "m").exec(text)?.[1] ?? fallback);
  return { min: of(`${what}_MIN`, UID_MIN), max: of(`${what}_MAX`, UID_MAX) };
}

/** Lines of a file like /etc/passwd, by their fields; those without a number where one belongs are left out. */
function* records(text: string): Generator<[name: string, id: number, ...rest: string[]]> {
  for (const line of text.split("\n")) {
    const [name = "", , digits = "", ...rest] = line.split(":");
    if (name === "" || name.startsWith("#") || !/^\d{1,10}$/.test(digits) || Number(digits) > ID_MAX) continue;
    yield [name, Number(digits), ...rest];
  }
}

function isSystem(id: number, { min, max }: Limits): boolean {
  return id < min || id > max;
}

export function parseUsers(passwd: string, loginDefs: string): Profile["users"] {
  const own = limits(loginDefs, "UID");
  return [...records(passwd)].map(([name, uid, gid = "0", comment = "", home = "", shell = ""]) => ({
    name,
    uid,
    gid: Math.min(Number(gid) || 0, ID_MAX),
    comment,
    home,
    shell,
    system: isSystem(uid, own),
  }));
}

export function parseGroups(group: string, loginDefs: string): Profile["groups"] {
  const own = limits(loginDefs, "GID");
  return [...records(group)].map(([name, gid, members = ""]) => ({ name, gid, members: members.split(",").filter((each) => each !== ""), system: isSystem(gid, own) }));
}

export function readAccounts(look: Look): Pick<Profile, "users" | "groups"> {
  const defs = look.text("/etc/login.defs") ?? "";
  return { users: parseUsers(look.text("/etc/passwd") ?? "", defs), groups: parseGroups(look.text("/etc/group") ?? "", defs) };
}
