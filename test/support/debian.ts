/** Small Debian systems in folders of their own, entered as their root: for tests that change a whole machine. */
import { type ChildProcess, type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileTempDir } from "./temp-dir.ts";

export type Entered = { status: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string };

export type EnterOptions = {
  hostName?: string;
  env?: Record<string, string>;
  /** Ends it, with all it started, by SIGKILL. */
  signal?: AbortSignal;
};

/** In namespaces of its own for mounts, processes and the host name; the network is that of the test, for its servers. */
const ENTER = `
mount --make-rprivate / && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t sysfs -o ro sysfs "$1/sys" &&
mount -t tmpfs tmpfs "$1/run" && mkdir -p "$1/run/lock" && mount -t tmpfs tmpfs "$1/tmp" && chmod 1777 "$1/tmp" "$1/run/lock" &&
hostname "$2" && exec /usr/sbin/chroot "$1" /bin/bash -ec "$3"`;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CACHE = resolve(import.meta.dirname, "../../node_modules/.cache/coldkeep/debian-12.tar");

function debootstrap(path: string): void {
  execFileSync("debootstrap", ["--variant=minbase", "bookworm", path], { stdio: "pipe" });
  mkdirSync(dirname(CACHE), { recursive: true });
  const whole = `${CACHE}.${process.pid}`;
  execFileSync("tar", ["-C", path, "--xattrs", "--numeric-owner", "--one-file-system", "--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*.deb", "-cf", whole, "."]);
  renameSync(whole, CACHE);
}

export class DebianRoot {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** A minimal Debian 12 in `name` below the test file's folder. The first test that wants one makes it, the others take its copy. */
  static make(name: string): DebianRoot {
    const path = join(fileTempDir(), name);
    mkdirSync(path);
    if (!existsSync(CACHE)) debootstrap(path);
    else execFileSync("tar", ["-C", path, "--xattrs", "--numeric-owner", "-xf", CACHE]);
    return new DebianRoot(path).#prepared();
  }

  /** The same system once more. */
  copy(name: string): DebianRoot {
    const path = join(fileTempDir(), name);
    execFileSync("cp", ["-a", this.path, path]);
    return new DebianRoot(path);
  }

  /** Package sources and proxies as this machine has them; names are resolved as here. */
  #prepared(): this {
    for (const each of ["etc/apt/sources.list", "etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/resolv.conf"]) {
      if (existsSync(join("/", each))) cpSync(join("/", each), join(this.path, each), { recursive: true, dereference: true, force: true });
    }
    for (const each of ["proc", "sys", "dev", "run", "tmp"]) {
      rmSync(join(this.path, each), { recursive: true, force: true });
      mkdirSync(join(this.path, each));
    }
    return this;
  }

  /** Runs a bash script inside, to its end. */
  async run(script: string, { hostName = "debian", env = {}, signal }: EnterOptions = {}): Promise<Entered> {
    const child = spawn("unshare", ["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL", "sh", "-c", ENTER, "sh", this.path, hostName, script], {
      env: { PATH, HOME: "/root", TERM: "dumb", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      ...(signal === undefined ? {} : { signal, killSignal: "SIGKILL" as const }),
    });
    return outcomeOf(child);
  }

  /** The same for what has to succeed. Throws, showing what it said. */
  async must(script: string, options: EnterOptions = {}): Promise<string> {
    return wellDone(await this.run(script, options));
  }
}

/** A Debian in which systemd runs as the first process (systemd-nspawn, of Debian's systemd-container). */
export class BootedDebian {
  readonly #nspawn: ChildProcess;
  readonly #init: number;

  private constructor(nspawn: ChildProcess, init: number) {
    this.#nspawn = nspawn;
    this.#init = init;
  }

  /** Boots a root in which systemd is installed. Throws with what it said when it does not come up within a minute. */
  static async boot(root: DebianRoot): Promise<BootedDebian> {
    const args = ["--directory", root.path, "--boot", "--register=no", "--keep-unit", "--kill-signal=SIGRTMIN+3", "--machine", `ck${process.pid}`];
    const nspawn = spawn("systemd-nspawn", args, { stdio: ["ignore", "pipe", "pipe"], env: { PATH } });
    let said = "";
    for (const stream of [nspawn.stdout, nspawn.stderr]) stream.on("data", (bytes: Buffer) => (said += bytes.toString()));
    for (let tries = 0; tries < 120 && nspawn.exitCode === null; tries++) {
      await sleep(500);
      const init = childOf(nspawn.pid ?? 0);
      if (init === undefined) continue;
      const booted = new BootedDebian(nspawn, init);
      const state = await booted.run("systemctl is-system-running");
      if (/^(?:running|degraded)/.test(state.stdout)) return booted;
    }
    nspawn.kill("SIGKILL");
    throw new Error(`systemd did not come up:\n${said}`);
  }

  /** Runs a bash script inside, as root. */
  async run(script: string, env: Record<string, string> = {}): Promise<Entered> {
    const inside = ["env", "-i", `PATH=${PATH}`, "HOME=/root", ...Object.entries(env).map(([name, value]) => `${name}=${value}`), "/bin/bash", "-ec", script];
    return outcomeOf(spawn("nsenter", ["--target", String(this.#init), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd", "--", ...inside], { stdio: ["ignore", "pipe", "pipe"] }));
  }

  /** The same for what has to succeed. Throws, showing what it said. */
  async must(script: string, env: Record<string, string> = {}): Promise<string> {
    return wellDone(await this.run(script, env));
  }

  /** Shuts it down as a machine would be. */
  async powerOff(): Promise<void> {
    const ended = new Promise((resolve) => this.#nspawn.once("close", resolve));
    if (this.#nspawn.exitCode !== null) return;
    await this.run("systemctl poweroff --no-block");
    const hard = setTimeout(() => this.#nspawn.kill("SIGKILL"), 30_000);
    await ended;
    clearTimeout(hard);
  }
}

function childOf(pid: number): number | undefined {
  try {
    const first = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")[0];
    return first === undefined || first === "" ? undefined : Number(first);
  } catch {
    return undefined;
  }
}

function outcomeOf(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Entered> {
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  // The end that was asked for is no error of the test.
  child.on("error", () => undefined);
  return new Promise((resolve) => child.once("close", (status, signal) => resolve({ status, signal, stdout, stderr })));
}

function wellDone(done: Entered): string {
  if (done.status === 0) return done.stdout;
  throw new Error(`ended with ${done.status ?? done.signal}:\n${done.stdout}\n${done.stderr}`);
}
