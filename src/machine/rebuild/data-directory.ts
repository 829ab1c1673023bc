/** The data directory of a database server, where the package made another one or none: empty, for dumps to be loaded into. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DataFact } from "../../format/data-facts.ts";
import { runToolWell } from "../run-tool.ts";

const INIT_MS = 300_000;
const POSTGRES_VERSIONS = "/usr/lib/postgresql";

/** initdb of the same major version, else of the newest that is installed. */
function initdb(version: string): string | undefined {
  if (!existsSync(POSTGRES_VERSIONS)) return undefined;
  const majors = readdirSync(POSTGRES_VERSIONS).filter((each) => existsSync(join(POSTGRES_VERSIONS, each, "bin/initdb")));
  const same = majors.find((each) => each === version.split(".")[0]);
  const major = same ?? majors.toSorted((a, b) => Number(a) - Number(b)).at(-1);
  return major === undefined ? undefined : join(POSTGRES_VERSIONS, major, "bin/initdb");
}

async function makeFor(user: string, directory: string, signal: AbortSignal): Promise<void> {
  if (!existsSync(dirname(directory))) await runToolWell({ argv: ["install", "-d", "-o", user, "-g", user, "-m", "0755", dirname(directory)], timeoutMs: INIT_MS, signal });
  await runToolWell({ argv: ["install", "-d", "-o", user, "-g", user, "-m", "0700", directory], timeoutMs: INIT_MS, signal });
}

/** Makes what a server needs to start with nothing in it, unless it is there. Throws E_DISK with what the server's own tool said. */
export async function ensureDataDirectory({ engine, version, dataDirectory }: DataFact, signal: AbortSignal): Promise<void> {
  if (dataDirectory === "") return;
  if (engine === "postgresql" && !existsSync(join(dataDirectory, "PG_VERSION"))) {
    const tool = initdb(version);
    if (tool === undefined) return;
    await makeFor("postgres", dataDirectory, signal);
    await runToolWell({ argv: ["runuser", "-u", "postgres", "--", tool, "-D", dataDirectory, "--encoding", "UTF8", "--locale", "C.UTF-8", "--auth-local", "peer", "--auth-host", "scram-sha-256"], timeoutMs: INIT_MS, signal, cwd: "/" });
  }
  if (engine === "mysql" && !existsSync(join(dataDirectory, "mysql"))) {
    await makeFor("mysql", dataDirectory, signal);
    await runToolWell({ argv: ["mariadb-install-db", `--datadir=${dataDirectory}`, "--user=mysql", "--skip-test-db"], timeoutMs: INIT_MS, signal });
  }
}
