/** What was measured with what: a figure without it says nothing. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { formatSize } from "../../src/units.ts";
import { projectFolder } from "./contestants/coldkeep.ts";

/** The first line that a command prints, or null where it is not installed. */
export function firstLine(command: string, ...args: readonly string[]): string | null {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? (stdout.split("\n")[0]?.trim() ?? "") : null;
}

export function versions(): Record<string, string | null> {
  return {
    coldkeep: coldkeepVersion(),
    node: process.version,
    restic: firstLine("restic", "version"),
    ceph: firstLine("ceph-osd", "--version"),
    age: firstLine("age", "--version"),
    zstd: firstLine("zstd", "--version"),
    tar: firstLine("tar", "--version"),
    kernel: release(),
    processors: `${availableParallelism()} × ${cpus()[0]?.model ?? "unknown"}`,
    memory: formatSize(totalmem()),
    "load at the start": loadavg().map((load) => load.toFixed(1)).join(" "),
  };
}

function coldkeepVersion(): string {
  const text: unknown = JSON.parse(readFileSync(join(projectFolder, "package.json"), "utf8"));
  const version = typeof text === "object" && text !== null && "version" in text ? String(text.version) : "unknown";
  const git = (...args: string[]): string | null => firstLine("git", "-C", projectFolder, "-c", `safe.directory=${projectFolder.replace(/\/$/, "")}`, ...args);
  const commit = git("rev-parse", "--short", "HEAD");
  if (commit === null) return version;
  return `${version}, commit ${commit}${git("status", "--porcelain", "--", "src", "bin") === "" ? "" : " with changes"}`;
}
