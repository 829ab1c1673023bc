/** Compares trees with the tools an administrator would take. */
import { spawnSync } from "node:child_process";

const OUTPUT_BYTES_MAX = 1 << 29;

function output(command: string, args: readonly string[], cwd = "/"): string {
  const done = spawnSync(command, args, { cwd, encoding: "latin1", maxBuffer: OUTPUT_BYTES_MAX, env: { ...process.env, LC_ALL: "C" } });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${done.status}: ${done.stderr}`);
  return done.stdout;
}

/** Anchored rsync patterns for what changed below a folder after `marker` was written: a live system does not stand still. */
export function changedSince(dir: string, marker: string): string[] {
  const paths = output("find", [".", "!", "-type", "d", "-cnewer", marker, "-print0"], dir).split("\0").filter((path) => path !== "");
  return paths.map((path) => path.slice(1));
}

/** What `rsync` would change to make `b` equal to `a`: bytes, modes, owners, times, hard links; and attributes and ACLs unless `plain`. `except` are patterns left out. */
export function rsyncDifferences(a: string, b: string, kind: "all" | "plain" = "all", except: readonly string[] = []): string {
  const excludes = except.map((path) => `--exclude=${path}`);
  return output("rsync", [kind === "all" ? "-aHAXnci" : "-aHnci", "--delete", "--modify-window=-1", ...excludes, `${a}/`, `${b}/`]);
}

/** Every extended attribute below a folder, sorted by path. */
export function attributesOf(dir: string): string[] {
  return output("getfattr", ["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."], dir).split("\n\n").sort();
}

/** Device numbers below a folder. */
export function devicesOf(dir: string): string[] {
  return output("find", [".", "(", "-type", "b", "-o", "-type", "c", ")", "-exec", "stat", "-c", "%n %F %t:%T", "{}", "+"], dir).split("\n").sort();
}

/** Path and allocated blocks of every regular file below a folder that has holes. */
export function sparseBlocksOf(dir: string): string[] {
  const lines = output("find", [".", "-type", "f", "-size", "+15", "-printf", "%b %s %p\\0"], dir).split("\0");
  return lines.filter((line) => {
    const [blocks = "", size = ""] = line.split(" ");
    return Number(blocks) * 512 < Number(size);
  }).sort();
}
