/** What runs: each process with its program, its unit, and the files and sockets it holds open. */
import { readlinkSync } from "node:fs";
import { systemCode } from "../../errors.ts";
import type { Look } from "./look.ts";

export type OpenFile = { path: string; isWritable: boolean };

export type Process = {
  pid: number;
  name: string;
  /** Path of its program; empty for the kernel's own threads. */
  program: string;
  /** The unit that runs it; empty where systemd does not. */
  unit: string;
  /** Inodes of its sockets. */
  sockets: string[];
  files: OpenFile[];
};

const PROCESSES_MAX = 4000;
/** A database holds hundreds of files open, a broken service hundreds of thousands. */
const FILES_MAX = 4096;
const O_ACCMODE = 3;

/** The innermost unit in the path of a control group (/proc/PID/cgroup). */
export function unitOfCgroup(text: string): string {
  const line = text.split("\n").find((each) => each.startsWith("0::")) ?? text.split("\n").find((each) => each.includes("name=systemd")) ?? "";
  const parts = line.slice(line.lastIndexOf(":") + 1).split("/");
  const unit = parts.findLast((part) => /\.(?:service|scope)$/.test(part)) ?? "";
  return unit.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Whether the flags of /proc/PID/fdinfo/N (octal) allow writing. */
export function isWritable(fdinfo: string): boolean {
  const flags = Number.parseInt(/^flags:\s+([0-7]+)/m.exec(fdinfo)?.[1] ?? "0", 8);
  return (flags & O_ACCMODE) !== 0;
}

/** The link itself: what cannot be read belongs to somebody else, or has just ended. */
function linkOf(path: string, onDenied: () => void): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (systemCode(error) === "EACCES" || systemCode(error) === "EPERM") onDenied();
    return "";
  }
}

function readProcess(look: Look, pid: number, onDenied: () => void): Process | null {
  const dir = `/proc/${pid}`;
  const program = linkOf(`${dir}/exe`, onDenied).replace(/ \(deleted\)$/, "");
  const name = look.text(`${dir}/comm`)?.trim();
  if (name === undefined) return null;
  const found: Process = { pid, name, program, unit: unitOfCgroup(look.text(`${dir}/cgroup`) ?? ""), sockets: [], files: [] };
  if (program === "") return found;
  for (const fd of look.names(`${dir}/fd`).slice(0, FILES_MAX)) {
    const target = linkOf(`${dir}/fd/${fd}`, onDenied);
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) found.sockets.push(inode);
    else if (target.startsWith("/") && !target.startsWith("/dev/") && !target.startsWith("/proc/") && !target.startsWith("/sys/") && !target.endsWith(" (deleted)")) {
      found.files.push({ path: target, isWritable: isWritable(look.text(`${dir}/fdinfo/${fd}`) ?? "") });
    }
  }
  return found;
}

/** All processes of the live system but our own; without root, what others hold open is a gap. */
export function readProcesses(look: Look): Process[] {
  if (!look.isLive) return [];
  const pids = look.names("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  let denied = 0;
  const own = new Set([process.pid]);
  // A look of its own: that a process has ended, or belongs to somebody else, is no gap by itself.
  const inside = look.quietly();
  const found = pids.filter((pid) => !own.has(pid)).slice(0, PROCESSES_MAX).flatMap((pid) => {
    let isDenied = false;
    const each = readProcess(inside, pid, () => {
      isDenied = true;
    });
    if (isDenied) denied++;
    return each ?? [];
  });
  if (denied > 0) look.gap("processes", `what ${denied} of ${pids.length} hold open could not be seen${process.geteuid?.() === 0 ? "" : ": only root may"}`);
  if (pids.length > PROCESSES_MAX) look.gap("processes", `only ${PROCESSES_MAX} of ${pids.length} were looked at`);
  return found;
}
