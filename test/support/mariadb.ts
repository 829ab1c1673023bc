/** A real MariaDB for tests, with a port, a socket and a data directory of its own. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dirOf, freePort, idOf, runAs } from "./postgres.ts";
import { afterUse } from "./temp-dir.ts";

export class MariaServer {
  readonly port: number;
  readonly dir: string;
  readonly data: string;
  #pid: number | undefined;

  private constructor(port: number) {
    this.port = port;
    this.dir = dirOf("mysql");
    this.data = join(this.dir, "data");
  }

  get socket(): string {
    return join(this.dir, "socket");
  }

  static async start(): Promise<MariaServer> {
    const server = new MariaServer(await freePort());
    mkdirSync(server.data);
    spawnSync("chown", ["mysql:mysql", server.data]);
    runAs("mysql", ["mariadb-install-db", "--no-defaults", `--datadir=${server.data}`, "--auth-root-authentication-method=normal", "--skip-test-db"]);
    await server.resume();
    afterUse(() => server.stop());
    return server;
  }

  async resume(): Promise<void> {
    const args = ["--no-defaults", `--datadir=${this.data}`, `--socket=${this.socket}`, `--port=${this.port}`, "--bind-address=127.0.0.1", `--pid-file=${join(this.dir, "pid")}`, "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"];
    const child = spawn("setpriv", ["--reuid=mysql", `--regid=${idOf("-g", "mysql")}`, "--init-groups", "--", "/usr/sbin/mariadbd", ...args], { stdio: "ignore", cwd: "/" });
    this.#pid = child.pid;
    for (let tries = 0; ; tries++) {
      try {
        this.sql("SELECT 1");
        return;
      } catch (error) {
        if (tries > 300) throw error;
        await sleep(200);
      }
    }
  }

  stop(): void {
    try {
      if (this.#pid !== undefined) process.kill(this.#pid, "SIGKILL");
    } catch {
      // It has ended.
    }
    this.#pid = undefined;
  }

  /** Runs SQL as root of the server; returns what it answers, without headings. */
  sql(text: string): string {
    const done = spawnSync("mariadb", ["--no-defaults", `--socket=${this.socket}`, "--user=root", "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"], { encoding: "utf8", input: text, maxBuffer: 1 << 28 });
    if (done.status !== 0) throw new Error(done.stderr);
    return done.stdout.trimEnd();
  }

  config(...more: string[]): string {
    return ["databases:", "  - type: mysql", `    socket: ${this.socket}`, "    user: root", ...more.map((line) => `    ${line}`)].join("\n");
  }
}
