/**
 * A quarantine: a root directory of its own with its own mounts, processes, host name and network, in which there is nothing but the
 * loopback. What runs inside cannot reach another machine, and ends with the process that made it, however that one ends.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ColdkeepError } from "../../errors.ts";
import { runTool, toolEnvironment, type ToolOrder, type ToolResult } from "../run-tool.ts";
import { DROP_RIGHTS, INIT_ENV, SET_UP } from "./scripts.ts";

const START_MS = 30_000;
const END_MS = 15_000;
const PAUSE_MS = 20;
const STDERR_KEPT = 2000;
const PATH_INSIDE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** As nsenter names them, and as /proc does. */
const NAMESPACES = { mount: "mnt", uts: "uts", ipc: "ipc", net: "net", pid: "pid", cgroup: "cgroup" } as const;

/** Something of this machine that shows inside. */
export type Shown = { path: string; inside: string; writable: boolean };

export type QuarantineOrder = {
  /** Absolute path of the root directory: a system with a shell and util-linux. */
  root: string;
  hostName: string;
  shown: readonly Shown[];
  /** `shared` is for fetching packages before anything of the archive is inside. Everything else has none. */
  network: "none" | "shared";
  signal: AbortSignal;
};

/** What was found when it had ended. */
export type EndProof = {
  /** Processes that were inside and still are; none, or the end failed. */
  processesLeft: number;
  /** Mounts that this machine sees below the root. */
  mountsLeft: number;
};

/** Number of the namespaces' processes that live. */
function processesIn(pidNamespace: string): number {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && linkOf(`/proc/${name}/ns/pid`) === pidNamespace).length;
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** Mount points at or below a directory, as this process sees them. */
export function mountsBelow(path: string): string[] {
  const points = readFileSync("/proc/self/mountinfo", "utf8").split("\n").map((line) => (line.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8))));
  return points.filter((point) => point === path || point.startsWith(`${path}/`));
}

/** The one child of a process. */
function childOf(pid: number): number | null {
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === pid) return Number(name);
    } catch {
      // It ended while we looked.
    }
  }
  return null;
}

type Holder = ChildProcessByStdio<Writable, Readable, Readable>;

/** A running quarantine. Call `close`. */
export class Quarantine {
  readonly root: string;
  readonly #holder: Holder;
  readonly #ended: Promise<unknown>;
  readonly #pidNamespace: string;
  /** Open files of the namespaces: a number of a process that ended may have been given to another one. */
  readonly #files: Record<string, number>;

  private constructor(root: string, holder: Holder, ended: Promise<unknown>, pidNamespace: string, files: Record<string, number>) {
    this.root = root;
    this.#holder = holder;
    this.#ended = ended;
    this.#pidNamespace = pidNamespace;
    this.#files = files;
  }

  /** Throws E_REFUSED where this user or machine cannot make one, E_NOT_FOUND without util-linux and iproute2, the signal's reason. */
  static async start({ root, hostName, shown, network, signal }: QuarantineOrder): Promise<Quarantine> {
    if (process.geteuid?.() !== 0) throw new ColdkeepError("E_REFUSED", "only root can make a quarantine", { hint: "Run as root, or drill at depth files." });
    signal.throwIfAborted();
    const places = shown.flatMap(({ path, inside, writable }) => [path, inside, writable ? "rw" : "ro"]);
    const unshare = ["--mount", "--uts", "--ipc", ...(network === "none" ? ["--net"] : []), "--pid", "--cgroup", "--fork", "--kill-child=SIGKILL", "--", "/bin/sh", "-c", SET_UP, "sh", root, hostName, network, ...places];
    const holder = spawn("unshare", unshare, { env: toolEnvironment(INIT_ENV), cwd: "/", detached: true, stdio: ["pipe", "pipe", "pipe"] });
    const ended = once(holder, "close").catch((error: unknown) => error);
    try {
      await ready(holder, ended, signal);
      const init = holder.pid === undefined ? null : childOf(holder.pid);
      const pidNamespace = init === null ? null : linkOf(`/proc/${init}/ns/pid`);
      if (init === null || pidNamespace === null || pidNamespace === linkOf("/proc/self/ns/pid")) throw new ColdkeepError("E_REFUSED", "the quarantine ended while it was made");
      const files = Object.fromEntries(Object.entries(NAMESPACES).map(([name, file]) => [name, openSync(`/proc/${init}/ns/${file}`, "r")]));
      return new Quarantine(root, holder, ended, pidNamespace, files);
    } catch (error) {
      holder.kill("SIGKILL");
      await ended;
      throw error;
    }
  }

  /** Runs a program inside, as root there, to its end: as `runTool`. */
  run(order: ToolOrder): Promise<ToolResult> {
    const enter = Object.entries(this.#files).map(([name, fd]) => `--${name}=/proc/${process.pid}/fd/${fd}`);
    return runTool({ ...order, cwd: "/", argv: ["nsenter", ...enter, "--", ...DROP_RIGHTS, ...order.argv], env: { PATH: PATH_INSIDE, HOME: "/root", ...order.env } });
  }

  /** Names of the network interfaces inside. */
  async interfaces(signal: AbortSignal): Promise<string[]> {
    const { stdout } = await this.run({ argv: ["cat", "/proc/net/dev"], timeoutMs: START_MS, signal });
    return stdout.split("\n").flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? []);
  }

  /** Ends everything inside. Says what was found after it; never throws. */
  async close(): Promise<EndProof> {
    this.#holder.stdin.destroy();
    this.#holder.kill("SIGKILL");
    await this.#ended;
    const deadlineMs = Date.now() + END_MS;
    while (processesIn(this.#pidNamespace) > 0 && Date.now() < deadlineMs) await sleep(PAUSE_MS);
    const processesLeft = processesIn(this.#pidNamespace);
    // The last hold on the mounts: with these files they go.
    for (const fd of Object.values(this.#files)) closeSync(fd);
    return { processesLeft, mountsLeft: mountsBelow(this.root).length };
  }
}

/** Resolves when process 1 inside says so. Throws E_REFUSED with what was said, E_NOT_FOUND, the signal's reason. */
async function ready(holder: Holder, ended: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let said = "";
  holder.stderr.on("data", (bytes: Buffer) => (said = (said + bytes.toString()).slice(-STDERR_KEPT)));
  holder.stdin.on("error", () => undefined);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(START_MS)]);
  const isReady = once(holder.stdout, "data", { signal: limit }).then(() => true);
  const outcome = await Promise.race([isReady, ended]).catch(() => "late" as const);
  signal.throwIfAborted();
  if (outcome === true) return;
  if (outcome instanceof Error && "code" in outcome && outcome.code === "ENOENT") throw new ColdkeepError("E_NOT_FOUND", 'there is no program "unshare"', { hint: "Install util-linux." });
  const why = said.trim().split("\n").slice(-2).join(" | ");
  throw new ColdkeepError("E_REFUSED", `no quarantine can be made here: ${outcome === "late" ? "it was not ready in time" : why || "unshare failed"}`, {
    hint: /\bip: not found/.test(why) ? "Install iproute2." : "It needs root, and namespaces, which containers often forbid; drill on a machine of its own, or at depth files.",
  });
}
