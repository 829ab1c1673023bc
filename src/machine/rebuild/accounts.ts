/** Accounts of this machine: read from its files, added with the system's own tools (passwd(5), group(5), shadow(5), subuid(5)). */
import { appendFileSync, readFileSync } from "node:fs";
import type { AccountPlan, Accounts } from "../../policy/account-plan.ts";
import { runTool, runToolWell } from "../run-tool.ts";

const TOOL_MS = 60_000;

function fieldsOf(path: string): string[][] {
  try {
    return readFileSync(path, "utf8").split("\n").filter((line) => line.includes(":")).map((line) => line.split(":"));
  } catch {
    return [];
  }
}

/** The accounts this machine has now. */
export function accountsHere(): Accounts {
  const users = fieldsOf("/etc/passwd").map(([name = "", , uid = "", gid = "", comment = "", home = "", shell = ""]) => ({ name, uid: Number(uid), gid: Number(gid), comment, home, shell, system: Number(uid) < 1000 }));
  const groups = fieldsOf("/etc/group").map(([name = "", , gid = "", members = ""]) => ({ name, gid: Number(gid), members: members.split(",").filter((each) => each !== ""), system: Number(gid) < 1000 }));
  return { users, groups };
}

/** What the archive holds of accounts beside the profile, as the text of its files; empty where it holds none. */
export type AccountFiles = { shadow: string; subuid: string; subgid: string };

/** A hash, or the lack of one, that lets nobody in by password. */
function isLocked(hash: string): boolean {
  return hash === "" || hash.startsWith("!") || hash.startsWith("*");
}

/** Passwords for those who have none here: nobody who can get into the new machine is locked out of it. */
function passwordsToSet(archived: string): string[] {
  const here = new Map(fieldsOf("/etc/shadow").map(([name = "", hash = ""]) => [name, hash]));
  return archived.split("\n").flatMap((line) => {
    const [name = "", hash = ""] = line.split(":");
    const now = here.get(name);
    return now !== undefined && isLocked(now) && !isLocked(hash) ? [`${name}:${hash}`] : [];
  });
}

/** Ranges of subordinate ids for those who have none here. */
function addRanges(path: string, archived: string): void {
  const here = new Set(fieldsOf(path).map(([name]) => name));
  const missing = archived.split("\n").filter((line) => line.includes(":") && !here.has(line.split(":")[0]));
  if (missing.length > 0) appendFileSync(path, missing.map((line) => `${line}\n`).join(""));
}

/** Comments go into a file of colons and lines. */
function field(text: string): string {
  return text.replaceAll(/[:\n]/g, " ");
}

/** Makes the planned accounts, groups first. Throws E_DISK with what a tool said, E_NOT_FOUND where there is none. */
export async function addAccounts(plan: AccountPlan, files: AccountFiles, signal: AbortSignal): Promise<void> {
  const run = (...argv: [string, ...string[]]): Promise<string> => runToolWell({ argv, timeoutMs: TOOL_MS, signal });
  for (const { name, gid, system } of plan.groups) await run("groupadd", ...(system ? ["--system"] : []), "--gid", String(gid), "--", name);
  for (const { name, uid, gid, comment, home, shell, system } of plan.users) {
    const kind = system ? ["--system"] : ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"];
    await run("useradd", ...kind, "--badname", "--no-create-home", "--no-user-group", "--uid", String(uid), "--gid", String(gid), "--comment", field(comment), "--home-dir", home, "--shell", shell, "--", name);
  }
  for (const { group, user } of plan.members) await run("gpasswd", "--add", user, group);
  const passwords = passwordsToSet(files.shadow);
  // By stdin: what stands on a command line can be read by everybody.
  if (passwords.length > 0) await runToolWell({ argv: ["chpasswd", "--encrypted"], input: `${passwords.join("\n")}\n`, timeoutMs: TOOL_MS, signal });
  addRanges("/etc/subuid", files.subuid);
  addRanges("/etc/subgid", files.subgid);
  // nscd keeps what it has looked up; where it is not there, nothing does.
  for (const table of ["passwd", "group"]) await runTool({ argv: ["nscd", "--invalidate", table], timeoutMs: TOOL_MS, signal }).catch(() => undefined);
}
