/** A real Redis for tests, with a socket and a directory of its own. */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterUse, fileTempDir } from "./temp-dir.ts";

export class RedisServer {
  readonly dir: string;
  readonly #options: readonly string[];
  #pid: number | undefined;

  private constructor(options: readonly string[]) {
    this.#options = options;
    this.dir = fileTempDir("/var/tmp");
  }

  get socket(): string {
    return join(this.dir, "socket");
  }

  static async start(...options: string[]): Promise<RedisServer> {
    const server = new RedisServer(options);
    await server.resume();
    afterUse(() => server.stop());
    return server;
  }

  async resume(): Promise<void> {
    const args = ["--port", "0", "--unixsocket", this.socket, "--dir", this.dir, "--save", "", "--databases", "16", ...this.#options];
    this.#pid = spawn("redis-server", args, { stdio: "ignore", cwd: "/" }).pid;
    for (let tries = 0; tries < 100 && spawnSync("redis-cli", ["-s", this.socket, "ping"], { encoding: "utf8" }).stdout.trim() === ""; tries++) await sleep(100);
  }

  stop(): void {
    try {
      if (this.#pid !== undefined) process.kill(this.#pid, "SIGKILL");
    } catch {
      // It has ended.
    }
    this.#pid = undefined;
  }

  /** Runs commands, one a line; returns the answers. */
  run(lines: string, ...options: string[]): string {
    const done = spawnSync("redis-cli", ["-s", this.socket, ...options], { encoding: "utf8", input: `${lines}\n`, maxBuffer: 1 << 28 });
    if (done.status !== 0) throw new Error(done.stderr);
    return done.stdout.trimEnd();
  }
}
