/** Puts SQLite files back where their programs look for them. */
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Owners } from "../../disk/owners.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { compareCounts, type LoadOrder, type LoadReport } from "./load-report.ts";
import { countRows, SIDE_FILES } from "./sqlite.ts";

/** Throws E_REFUSED where a file is there that may not be replaced. */
export function refuseThere(path: string, replace: boolean): void {
  if (replace || !existsSync(path)) return;
  throw new ColdkeepError("E_REFUSED", `${path} is there already`, { hint: "Move it away." });
}

/** Copies a dump beside its place, and moves it there whole. */
export function place(from: string, to: string, owner: { uid: number; gid: number } | null, mode: number): void {
  const fresh = `${to}.coldkeep-new`;
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, fresh);
  chmodSync(fresh, mode);
  if (owner !== null && process.geteuid?.() === 0) chownSync(fresh, owner.uid, owner.gid);
  renameSync(fresh, to);
}

/** The numbers of `user:group`; null where this machine does not know them. */
function ownerOf(text: string): { uid: number; gid: number } | null {
  const [user = "", group = ""] = text.split(":");
  const owners = new Owners();
  const [uid, gid] = [owners.uidOf(user) ?? (/^\d+$/.test(user) ? Number(user) : undefined), owners.gidOf(group) ?? (/^\d+$/.test(group) ? Number(group) : undefined)];
  return uid === undefined || gid === undefined ? null : { uid, gid };
}

function countFile(path: string): Record<string, number> {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const verdict = database.prepare("PRAGMA integrity_check(1)").get()?.["integrity_check"];
    if (verdict !== "ok") throw new ColdkeepError("E_DISK", `${path} is damaged: ${String(verdict)}`);
    return countRows(database);
  } catch (error) {
    throw error instanceof ColdkeepError ? error : new ColdkeepError("E_DISK", `${path} cannot be opened: ${messageOf(error)}`, { cause: error });
  } finally {
    database.close();
  }
}

/** As `loadDatabase`: files at their paths, with owner and mode; checked before they are moved there. */
export function loadSqlite({ fact, root, into, replace, onBegin }: LoadOrder): LoadReport {
  const report: LoadReport = { loaded: [], differences: [], remarks: [] };
  for (const dump of fact.dumps) refuseThere(join(into, dump.name), replace);
  onBegin?.();
  for (const dump of fact.dumps) {
    const [from, to] = [join(root, dump.path), join(into, dump.name)];
    const found = countFile(from);
    const owner = ownerOf(dump.owner);
    if (owner === null) report.remarks.push(`${dump.name}: there is no ${dump.owner} on this machine, and it belongs to whoever loads it`);
    // What belongs to another state of the file would be taken for a part of this one.
    for (const end of SIDE_FILES) rmSync(`${to}${end}`, { force: true });
    place(from, to, owner, Number.parseInt(dump.mode === "" ? "0600" : dump.mode, 8));
    for (const end of SIDE_FILES) rmSync(`${from}${end}`, { force: true });
    report.loaded.push(dump.name);
    report.differences.push(...compareCounts(dump, found));
  }
  return report;
}
