/** Small Debian systems in folders of their own, entered as their root: for tests that change a whole machine. */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
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

export class DebianRoot {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** A minimal Debian 12 in `name` below the test file's folder. */
  static make(name: string): DebianRoot {
    const path = join(fileTempDir(), name);
    execFileSync("debootstrap", ["--variant=minbase", "bookworm", path], { stdio: "pipe" });
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
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString()));
    child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
    // The end that was asked for is no error of the test.
    child.on("error", () => undefined);
    return new Promise((resolve) => child.once("close", (status, ended) => resolve({ status, signal: ended, stdout, stderr })));
  }

  /** The same for what has to succeed. Throws, showing what it said. */
  async must(script: string, options: EnterOptions = {}): Promise<string> {
    const done = await this.run(script, options);
    if (done.status === 0) return done.stdout;
    throw new Error(`ended with ${done.status ?? done.signal}:\n${done.stdout}\n${done.stderr}`);
  }
}
