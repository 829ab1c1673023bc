/** What lies on this machine that is worth archiving, and how much of it: a proposal, made within seconds. */
import { existsSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type ServerConfig, usualDatabase } from "../config/data-schema.ts";
import { readNames } from "../disk/long-path.ts";
import { readMounts } from "../disk/mounts.ts";
import { lstatText } from "../disk/stat.ts";
import { walk } from "../disk/walk.ts";
import { isWithin } from "../format/entry-path.ts";
import { planDatabase } from "../machine/databases/plan.ts";

/** Where a server keeps what is its own. */
const USUAL = ["/etc", "/home", "/root", "/srv", "/opt", "/usr/local", "/var/lib", "/var/www", "/var/spool/cron"];

/** Top-level directories of a distribution: what is beside them was made by somebody for something. */
const DISTRIBUTION = new Set(["bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "lost+found", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var", "snap", "swap", "nix"]);

const DUMP = "the files of a running database are not a copy of it: archive a dump too";
const CONFIGURE = "the files of a running database are not a copy of it: give it an entry in `databases` (docs/guide/databases.md)";
/** How long a server may take to say what it is, ms. */
const ASK_MS = 10_000;

/** Services whose data is worth a word. `find` is a path. */
const KNOWN: readonly { find: string; what: string; remark?: string; engine?: ServerConfig["type"] }[] = [
  { find: "/var/lib/postgresql", what: "PostgreSQL", remark: CONFIGURE, engine: "postgresql" },
  { find: "/var/lib/pgsql", what: "PostgreSQL", remark: CONFIGURE, engine: "postgresql" },
  { find: "/var/lib/mysql", what: "MySQL or MariaDB", remark: CONFIGURE, engine: "mysql" },
  { find: "/var/lib/mongodb", what: "MongoDB", remark: `${DUMP} (mongodump)` },
  { find: "/var/lib/redis", what: "Redis", remark: CONFIGURE, engine: "redis" },
  { find: "/var/lib/valkey", what: "Valkey", remark: CONFIGURE, engine: "redis" },
  { find: "/var/lib/ldap", what: "OpenLDAP", remark: `${DUMP} (slapcat)` },
  { find: "/var/lib/influxdb", what: "InfluxDB", remark: `${DUMP} (influx backup)` },
  { find: "/var/lib/elasticsearch", what: "Elasticsearch", remark: "copied files do not come up again: let it export into a directory that is archived" },
  { find: "/var/lib/docker/volumes", what: "Docker's volumes", remark: "a database in a volume needs a dump too; images are better pulled again: exclude /var/lib/docker/overlay2" },
  { find: "/var/lib/containers/storage/volumes", what: "Podman's volumes", remark: "a database in a volume needs a dump too" },
  { find: "/var/lib/libvirt/images", what: "disks of virtual machines", remark: "a disk copied while its machine runs may be inconsistent: better archive inside the machine" },
  { find: "/var/lib/gitea", what: "Gitea" },
  { find: "/var/lib/grafana", what: "Grafana" },
  { find: "/var/lib/jenkins", what: "Jenkins" },
  { find: "/var/lib/prometheus", what: "Prometheus" },
  { find: "/var/mail", what: "mail" },
  { find: "/var/vmail", what: "mail" },
];

export type SurveyedPath = {
  path: string;
  sizeBytes: number;
  /** False where the time was up, or something could not be read: it is at least so much. */
  isWhole: boolean;
};

/** Data of a known service, which is in a proposed source or one itself. */
export type SurveyedService = SurveyedPath & { what: string; remark: string | null };

/** `databases`: servers that answered, and can be dumped without another word. */
export type MachineSurvey = { sources: SurveyedPath[]; services: SurveyedService[]; databases: ServerConfig["type"][] };

export type SurveyOrder = { uid: number; home: string | undefined; /** Time for each path, ms. */ limitMs: number; signal: AbortSignal };

/** Entries between two looks at the clock and the signal. */
const ITEMS_A_TURN = 500;

async function measure(path: string, { limitMs, signal }: SurveyOrder): Promise<SurveyedPath> {
  const endMs = performance.now() + limitMs;
  let sizeBytes = 0;
  let isWhole = true;
  let items = 0;
  for (const item of walk({ sources: [path], skip: () => false, mounts: readMounts(), excludedDirs: [] })) {
    if (item.kind === "entry" && item.stat.type === "file") sizeBytes += item.stat.size;
    else if (item.kind === "problem") isWhole = false;
    if (++items % ITEMS_A_TURN !== 0) continue;
    await nextTurn();
    signal.throwIfAborted();
    if (performance.now() > endMs) return { path, sizeBytes, isWhole: false };
  }
  return { path, sizeBytes, isWhole };
}

function isDirectory(path: string): boolean {
  try {
    return lstatText(path)?.type === "dir";
  } catch {
    return false;
  }
}

function madeBySomebody(): string[] {
  return readNames("/").filter((name) => !DISTRIBUTION.has(name) && !name.startsWith(".")).map((name) => `/${name}`).filter(isDirectory);
}

/** The sources where nobody says otherwise, without looking into them. None for a user without a home. */
export function usualSources(uid: number, home: string | undefined): string[] {
  if (uid === 0) return USUAL.filter((path) => existsSync(path));
  return home?.startsWith("/") === true ? [home] : [];
}

/** Whether a server of this machine tells what it holds. */
async function answers(engine: ServerConfig["type"], signal: AbortSignal): Promise<boolean> {
  try {
    await planDatabase(usualDatabase(engine), "", AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]));
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** Measures what is worth archiving, each path for `limitMs` at the most. Throws the signal's reason. */
export async function surveyMachine(order: SurveyOrder): Promise<MachineSurvey> {
  const usual = usualSources(order.uid, order.home);
  const sources = order.uid === 0 ? [...usual, ...madeBySomebody()] : usual;
  const survey: MachineSurvey = { sources: [], services: [], databases: [] };
  for (const known of order.uid === 0 ? KNOWN.filter(({ find }) => isDirectory(find)) : []) {
    const measured = await measure(known.find, order);
    const isDumped = known.engine !== undefined && (survey.databases.includes(known.engine) || (await answers(known.engine, order.signal)));
    if (isDumped && known.engine !== undefined && !survey.databases.includes(known.engine)) survey.databases.push(known.engine);
    survey.services.push({ ...measured, what: known.what, remark: isDumped ? null : (known.remark ?? null) });
    if (!sources.some((source) => isWithin(known.find, source))) sources.push(known.find);
  }
  for (const path of sources) survey.sources.push(await measure(path, order));
  return survey;
}
