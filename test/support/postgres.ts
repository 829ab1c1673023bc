/** Real PostgreSQL servers for tests: each with a port, a socket and a data directory of its own, and ended by its own pid. */
import { spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, chownSync, globSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterUse, fileTempDir } from "./temp-dir.ts";

/** A port nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A number of a user or group by its name. */
export function idOf(kind: "-u" | "-g", user: string): number {
  return Number(spawnSync("id", [kind, user], { encoding: "utf8" }).stdout);
}

/** Runs a program as a user of this machine; returns what it printed. Throws when it fails. */
export function runAs(user: string, argv: string[], input = "", env: Record<string, string> = {}): string {
  const done = spawnSync("setpriv", [`--reuid=${user}`, `--regid=${idOf("-g", user)}`, "--init-groups", "--", ...argv], { encoding: "utf8", input, cwd: "/", env: { PATH: process.env["PATH"] ?? "", HOME: "/", LC_ALL: "C.UTF-8", ...env }, maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`${argv.join(" ")} ended with ${done.status}: ${done.stderr}`);
  return done.stdout;
}

/** A directory that a user owns and can reach, removed at the end of the file. */
export function dirOf(user: string): string {
  const dir = fileTempDir("/var/tmp");
  chmodSync(dir, 0o755);
  const own = join(dir, user);
  mkdirSync(own);
  chownSync(own, idOf("-u", user), idOf("-g", user));
  return own;
}

export class PostgresServer {
  readonly port: number;
  readonly dir: string;
  readonly data: string;
  readonly #bin: string;

  private constructor(port: number, bin: string) {
    this.port = port;
    this.#bin = bin;
    this.dir = dirOf("postgres");
    this.data = join(this.dir, "data");
  }

  static async start(initArguments: string[] = ["--locale=C.UTF-8"]): Promise<PostgresServer> {
    const [bin] = globSync("/usr/lib/postgresql/*/bin").toSorted().reverse();
    if (bin === undefined) throw new Error("PostgreSQL is not installed");
    const server = new PostgresServer(await freePort(), bin);
    runAs("postgres", [`${bin}/initdb`, "-D", server.data, "-A", "trust", "--no-sync", ...initArguments]);
    appendFileSync(join(server.data, "postgresql.conf"), `port = ${server.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '${server.dir}'\nfsync = off\n`);
    server.resume();
    afterUse(() => server.stop());
    return server;
  }

  resume(): void {
    runAs("postgres", [`${this.#bin}/pg_ctl`, "-D", this.data, "-w", "-t", "60", "-s", "-l", join(this.dir, "log"), "start"]);
  }

  stop(): void {
    spawnSync("setpriv", ["--reuid=postgres", `--regid=${idOf("-g", "postgres")}`, "--init-groups", "--", `${this.#bin}/pg_ctl`, "-D", this.data, "-m", "immediate", "-w", "stop"], { cwd: "/" });
  }

  /** Runs SQL, statement by statement; returns what psql prints, unaligned and without headings. */
  sql(text: string, database = "postgres"): string {
    return runAs("postgres", ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", this.dir, "-p", String(this.port), "-d", `dbname='${database.replaceAll(/[\\']/g, "\\$&")}'`, "-f", "-"], text).trimEnd();
  }

  /** Its lines in a configuration. */
  config(...more: string[]): string {
    return ["databases:", "  - type: postgresql", `    socket: ${this.dir}`, `    port: ${this.port}`, ...more.map((line) => `    ${line}`)].join("\n");
  }
}
