/** The folder a drill works in: private, known as ours by a note in it, gone afterwards; what a killed drill left is found by that note. */
import { randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ColdkeepError, messageOf, systemCode } from "../../errors.ts";
import { type DrillFolderNote, parseFolderNote } from "../../format/drill-report.ts";
import { runTool } from "../run-tool.ts";
import { mountsBelow } from "./quarantine.ts";

const PREFIX = "coldkeep-drill-";
const NOTE = ".coldkeep-drill.json";
const NOTE_BYTES_MAX = 1000;
const REMOVE_MS = 30 * 60_000;

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Field 22 of /proc/PID/stat (proc(5)); null where there is no such process. */
function beganAt(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

/** Makes one in `parent`, which is made too where it is missing. Throws E_DISK. */
export function makeWorkFolder(parent: string): string {
  const path = join(parent, PREFIX + randomBytes(6).toString("hex"));
  try {
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    mkdirSync(path, { mode: 0o700 });
    const note: DrillFolderNote = { coldkeepDrill: 1, pid: process.pid, began: beganAt(process.pid) ?? "", boot: bootId() };
    writeFileSync(join(path, NOTE), `${JSON.stringify(note)}\n`, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    throw new ColdkeepError("E_DISK", `cannot make a folder to drill in: ${messageOf(cause)}`, { hint: "Name another place with --work DIR.", cause });
  }
  return path;
}

/** Removes a folder that `makeWorkFolder` made, never through a mount. Throws E_DISK where something of it stays. */
export async function removeWorkFolder(path: string): Promise<void> {
  const [mount] = mountsBelow(path);
  if (mount !== undefined) throw new ColdkeepError("E_DISK", `${path} is not removed: something is mounted at ${mount}`, { hint: `Unmount it, and run: rm -rf --one-file-system ${path}` });
  const result = await runTool({ argv: ["rm", "-rf", "--one-file-system", "--", path], timeoutMs: REMOVE_MS });
  if (result.status !== 0 || isThere(path)) throw new ColdkeepError("E_DISK", `${path} could not be removed: ${result.stderr.trim().split("\n").at(-1) ?? ""}`, { hint: `Remove it: rm -rf --one-file-system ${path}` });
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Folders in `parent` whose drill has ended without removing them: nothing else is ever named. */
export function abandonedFolders(parent: string): string[] {
  let names: string[];
  try {
    names = readdirSync(parent);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw new ColdkeepError("E_DISK", `cannot look into ${parent}: ${messageOf(error)}`, { cause: error });
  }
  return names.filter((name) => name.startsWith(PREFIX)).map((name) => join(parent, name)).filter(isAbandoned);
}

function isAbandoned(path: string): boolean {
  try {
    const folder = lstatSync(path);
    const file = lstatSync(join(path, NOTE));
    if (!folder.isDirectory() || folder.uid !== process.geteuid?.() || !file.isFile() || file.uid !== folder.uid || file.size > NOTE_BYTES_MAX) return false;
    const { pid, began, boot } = parseFolderNote(readFileSync(join(path, NOTE), "utf8"));
    return boot !== bootId() || beganAt(pid) !== began;
  } catch {
    return false;
  }
}
