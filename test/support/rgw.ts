/**
 * A real S3 server for tests: a Ceph cluster of one monitor and one disk daemon with an object gateway (RGW) per region,
 * each with pools and a user of its own. All on 127.0.0.1 and free ports, data below the system's temporary folder,
 * ended by the handles of its own processes. Needs Debian's ceph-mon, ceph-osd, radosgw and ceph-common, not root.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, globSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { makeCertificate } from "./fake-s3-certificate.ts";

/** A region of a running server, also the form of each element of the JSON list in COLDKEEP_TEST_S3. */
export type S3Endpoint = { region: string; endpoint: string; accessKeyId: string; secretAccessKey: string; ca?: string };

export type Rgw = {
  endpoints: S3Endpoint[];
  /** Ends every process that was started and removes the data; for a server of COLDKEEP_TEST_S3, nothing. */
  stop(): Promise<void>;
  /** Kills the gateway of an endpoint as a crash would. Throws for a server of COLDKEEP_TEST_S3. */
  crash(index: number): Promise<void>;
  /** Starts a killed gateway again, at its old address. */
  revive(index: number): Promise<void>;
  /** Another user of an endpoint's gateway, with no rights but what bucket policies give it. Throws for a server of COLDKEEP_TEST_S3. */
  addUser(index: number, name: string): Promise<S3Keys>;
};

export type S3Keys = { accessKeyId: string; secretAccessKey: string };

export type RgwRegion = { name: string; tls?: boolean };

const STORAGE_CLASSES = ["STANDARD_IA"];
const START_MS = 60_000;

const run = promisify(execFile);

/**
 * Gives one endpoint per region asked for: of the servers that COLDKEEP_TEST_S3 names, else of a cluster started here
 * (about 10 s). Throws when a program is missing or does not come up, with the end of its log.
 */
export async function startRgw(regions: readonly RgwRegion[]): Promise<Rgw> {
  const named = process.env["COLDKEEP_TEST_S3"];
  if (named !== undefined && named !== "") return { endpoints: pickEndpoints(named, regions), stop: async () => undefined, crash: notOurs, revive: notOurs, addUser: notOurs };
  const cluster = new Cluster(mkdtempSync(join(tmpdir(), "coldkeep-rgw-")));
  try {
    await cluster.startMonitor();
    await cluster.startDisk();
    const endpoints: S3Endpoint[] = [];
    for (const region of regions) endpoints.push(await cluster.startGateway(region));
    const gateway = (index: number): Gateway => cluster.gateways[index] ?? raise(`no gateway ${index}`);
    return { endpoints, stop: () => cluster.stop(), crash: (index) => cluster.crash(gateway(index)), revive: (index) => cluster.revive(gateway(index)), addUser: (index, name) => cluster.addUser(gateway(index), name) };
  } catch (error) {
    const told = cluster.logs();
    await cluster.stop();
    throw new Error(`the Ceph cluster did not start: ${String(error)}\n${told}`, { cause: error });
  }
}

function raise(message: string): never {
  throw new Error(message);
}

async function notOurs(): Promise<never> {
  raise("only a gateway started here can be killed or get users; unset COLDKEEP_TEST_S3");
}

function pickEndpoints(json: string, regions: readonly RgwRegion[]): S3Endpoint[] {
  const known: unknown = JSON.parse(json);
  if (!Array.isArray(known)) throw new Error("COLDKEEP_TEST_S3 is not a JSON list");
  const left = known.filter(isEndpoint);
  return regions.map(({ name, tls }) => {
    const fits = (endpoint: S3Endpoint): boolean => endpoint.endpoint.startsWith("https:") === (tls === true);
    const at = left.findIndex((endpoint) => endpoint.region === name && fits(endpoint));
    const [found] = left.splice(at >= 0 ? at : left.findIndex(fits), 1);
    if (found === undefined || !fits(found)) throw new Error(`COLDKEEP_TEST_S3 names no endpoint for ${name}${tls === true ? " over TLS" : ""}`);
    return found;
  });
}

function isEndpoint(value: unknown): value is S3Endpoint {
  if (typeof value !== "object" || value === null) return false;
  return ["region", "endpoint", "accessKeyId", "secretAccessKey"].every((name) => typeof Reflect.get(value, name) === "string");
}

function placeOf(name: string): string[] {
  return [`--rgw-realm=${name}`, `--rgw-zonegroup=${name}`, `--rgw-zone=${name}`];
}

type Gateway = { name: string; args: readonly string[]; port: number; child: ChildProcess };

class Cluster {
  readonly gateways: Gateway[] = [];
  readonly #folder: string;
  readonly #conf: string;
  readonly #fsid = randomUUID();
  readonly #children: ChildProcess[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    this.#conf = this.#path("ceph.conf");
    for (const name of ["mon", "osd", "run", "log"]) mkdirSync(this.#path(name));
  }

  async startMonitor(): Promise<void> {
    const [v2, v1] = [await freePort(), await freePort()];
    const address = `[v2:127.0.0.1:${v2}/0,v1:127.0.0.1:${v1}/0]`;
    writeFileSync(this.#conf, configuration(this.#folder, this.#fsid, address));
    const map = this.#path("monmap");
    await run("monmaptool", ["--create", "--fsid", this.#fsid, "--addv", "a", address, map]);
    const keyring = this.#path("keyring");
    await run("ceph-authtool", ["--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"]);
    const caps = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"];
    await run("ceph-authtool", [keyring, "--gen-key", "-n", "client.admin", ...caps]);
    await run("ceph-mon", ["-c", this.#conf, "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring]);
    this.#spawn("mon", "ceph-mon", ["-i", "a", "-f"]);
    await this.#until("the monitor", async () => (await this.#ceph("mon", "stat")) !== "");
  }

  async startDisk(): Promise<void> {
    const id = randomUUID();
    await this.#ceph("osd", "new", id);
    await this.#ceph("osd", "crush", "add", "osd.0", "1.0", "root=default", "host=local");
    const key = await this.#ceph("auth", "get-or-create", "osd.0", "mon", "allow profile osd", "osd", "allow *");
    writeFileSync(this.#path("keyring"), `${readFileSync(this.#path("keyring"), "utf8")}\n${key}`);
    await run("ceph-osd", ["-c", this.#conf, "-i", "0", "--mkfs", "--osd-uuid", id]);
    this.#spawn("osd", "ceph-osd", ["-i", "0", "-f"]);
    await this.#until("the disk daemon", async () => (await this.#ceph("osd", "stat")).includes("1 up"));
  }

  async startGateway({ name, tls }: RgwRegion): Promise<S3Endpoint> {
    const place = placeOf(name);
    const admin = (...args: string[]): Promise<void> => this.#admin(name, args);
    await admin("realm", "create");
    await admin("zonegroup", "create", "--master");
    await admin("zone", "create", "--master");
    for (const storageClass of STORAGE_CLASSES) {
      const placement = ["placement", "add", "--placement-id=default-placement", `--storage-class=${storageClass}`];
      await admin("zonegroup", ...placement);
      await admin("zone", ...placement, `--data-pool=${name}.rgw.${storageClass.toLowerCase()}.data`);
    }
    await admin("period", "update", "--commit");
    const keys = await this.#makeUser(name, "test");
    const port = await freePort();
    const certificate = tls === true ? makeCertificate(this.#folder) : undefined;
    const front =
      certificate === undefined
        ? `beast endpoint=127.0.0.1:${port}`
        : `beast ssl_endpoint=127.0.0.1:${port} ssl_certificate=${certificate.certPath} ssl_private_key=${certificate.keyPath}`;
    const args = ["-n", "client.admin", "-f", ...place, `--rgw-frontends=${front}`];
    this.gateways.push({ name, args, port, child: this.#spawn(`rgw-${name}`, "radosgw", args) });
    await this.#until(`the gateway of ${name}`, () => answers(port));
    const endpoint = `${tls === true ? "https" : "http"}://127.0.0.1:${port}`;
    return { region: name, endpoint, ...keys, ...(certificate !== undefined && { ca: certificate.certPath }) };
  }

  addUser({ name }: Gateway, uid: string): Promise<S3Keys> {
    return this.#makeUser(name, uid);
  }

  async #makeUser(gateway: string, uid: string): Promise<S3Keys> {
    const keys = { accessKeyId: `test${randomBytes(6).toString("hex")}`, secretAccessKey: randomBytes(20).toString("hex") };
    await this.#admin(gateway, ["user", "create", `--uid=${uid}`, `--display-name=${uid}`, `--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`]);
    return keys;
  }

  async #admin(gateway: string, args: readonly string[]): Promise<void> {
    await run("radosgw-admin", ["-c", this.#conf, ...args, ...placeOf(gateway)], { timeout: START_MS });
  }

  async crash({ child }: Gateway): Promise<void> {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
    this.#children.splice(this.#children.indexOf(child), 1);
  }

  async revive(gateway: Gateway): Promise<void> {
    gateway.child = this.#spawn(`rgw-${gateway.name}`, "radosgw", gateway.args);
    await this.#until(`the gateway of ${gateway.name}`, () => answers(gateway.port));
  }

  /** The end of every log, for a failed start. */
  logs(): string {
    return globSync(this.#path("log/*"))
      .map((path) => `${path}: ${readFileSync(path, "utf8").trim().split("\n").slice(-5).join("\n  ")}`)
      .join("\n");
  }

  async stop(): Promise<void> {
    // The data is thrown away, so nothing needs an orderly end; gateways first, or they wait for the others.
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #spawn(name: string, program: string, args: readonly string[]): ChildProcess {
    const log = openSync(this.#path(`log/${name}.out`), "a");
    const child = spawn(program, ["-c", this.#conf, ...args], { stdio: ["ignore", log, log] });
    child.on("error", () => undefined);
    this.#children.push(child);
    return child;
  }

  async #ceph(...args: string[]): Promise<string> {
    const { stdout } = await run("ceph", ["-c", this.#conf, "--connect-timeout", "20", ...args], { timeout: 30_000 });
    return stdout;
  }

  async #until(what: string, ready: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + START_MS;
    while (performance.now() < endMs) {
      const dead = this.#children.find((child) => child.exitCode !== null || child.pid === undefined);
      if (dead !== undefined) throw new Error(`${dead.spawnfile} ended with ${dead.exitCode} while waiting for ${what}`);
      if (await ready().catch(() => false)) return;
      await sleep(100);
    }
    throw new Error(`${what} did not answer within ${START_MS} ms`);
  }
}

function configuration(folder: string, fsid: string, address: string): string {
  // Debian's relative default of this folder is not found; without it radosgw-admin fails with "Operation not supported".
  const classes = globSync("/usr/lib/*/rados-classes")[0] ?? (existsSync("/usr/lib/rados-classes") ? "/usr/lib/rados-classes" : undefined);
  return `[global]
fsid = ${fsid}
mon initial members = a
mon host = ${address}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = ${folder}/keyring
run dir = ${folder}/run
admin socket =
log file = ${folder}/log/$name.log
crash dir = ${folder}/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
mon data avail warn = 2
mon data avail crit = 1
paxos propose interval = 0.05
[mon]
mon data = ${folder}/mon
[osd]
osd data = ${folder}/osd
osd objectstore = bluestore
bluestore block size = ${20 * 1024 ** 3}
bluestore block db size = 0
bluestore block wal size = 0
osd memory target = 939524096
osd mclock skip benchmark = true
${classes === undefined ? "" : `osd class dir = ${classes}\n`}`;
}

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}
