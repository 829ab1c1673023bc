/** Where the configuration file is, reading it, and writing a new one. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { type PinnedSigner, signerLine } from "../format/kit.ts";
import type { ServerConfig } from "./data-schema.ts";
import { CONFIG_BYTES_MAX, parseConfig } from "./parse.ts";
import type { Config, SourceConfig } from "./schema.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type LoadedConfig = {
  config: Config;
  /** Absolute path of the file. */
  path: string;
  /** The folder it lies in; the keys are beside it. */
  dir: string;
  /** The text as it was read: `findIdentities` looks through it. */
  text: string;
};

/** What `init` decides; everything else keeps its default. */
export type NewConfig = {
  vault: string;
  host: string;
  regions: readonly { name: string; url: string }[];
  copies?: number;
  recipients: readonly string[];
  signers?: readonly PinnedSigner[];
  sources: readonly SourceConfig[];
  /** Servers of this machine that are dumped. Default: none. */
  databases?: readonly ServerConfig["type"][];
  /** Absolute path. */
  state: string;
};

const ROOT_CONFIG = "/etc/coldkeep/coldkeep.yaml";
const ROOT_STATE = "/var/lib/coldkeep";

/** The configuration file to use: `explicit` (--config), else COLDKEEP_CONFIG, else the default of the user. Absolute. */
export function configPath(explicit: string | undefined, env: Environment, uid: number): string {
  const named = explicit ?? (env["COLDKEEP_CONFIG"] || undefined);
  if (named !== undefined) return resolve(named);
  if (uid === 0) return ROOT_CONFIG;
  // The XDG specification has relative values ignored.
  const base = env["XDG_CONFIG_HOME"]?.startsWith("/") ? env["XDG_CONFIG_HOME"] : join(env["HOME"] || homedir(), ".config");
  return join(base, "coldkeep", "coldkeep.yaml");
}

/** Where `init` puts the state of a configuration at `path` (absolute). */
export function defaultStateDir(path: string, uid: number): string {
  return uid === 0 && path === ROOT_CONFIG ? ROOT_STATE : join(dirname(path), "state");
}

/** Reads and checks the configuration at `path`. Throws E_CONFIG. */
export function loadConfig(path: string): LoadedConfig {
  const absolute = resolve(path);
  const text = readText(absolute);
  return { config: parseConfig(text, absolute), path: absolute, dir: dirname(absolute), text };
}

function readText(path: string): string {
  const bytes = readConfigFile(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ColdkeepError("E_CONFIG", `${path} is not UTF-8 text`, { cause });
  }
}

function readConfigFile(path: string): Buffer {
  let fd: number;
  try {
    // Without blocking, or a FIFO in the file's place would hang the run.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") {
      throw new ColdkeepError("E_CONFIG", `there is no configuration at ${path}`, {
        hint: "Make one with `coldkeep init`, or name another with --config FILE.",
        cause,
      });
    }
    throw unreadable(path, cause);
  }
  try {
    if (!fstatSync(fd).isFile()) throw new ColdkeepError("E_CONFIG", `${path} is not a regular file`);
    const buffer = Buffer.alloc(CONFIG_BYTES_MAX + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) read = readSync(fd, buffer, length, buffer.length - length, length);
    if (length > CONFIG_BYTES_MAX) throw new ColdkeepError("E_CONFIG", `${path} is longer than the ${CONFIG_BYTES_MAX} bytes a configuration may have`);
    return buffer.subarray(0, length);
  } catch (cause) {
    throw cause instanceof ColdkeepError ? cause : unreadable(path, cause);
  } finally {
    closeSync(fd);
  }
}

function unreadable(path: string, cause: unknown): ColdkeepError {
  return new ColdkeepError("E_CONFIG", `cannot read the configuration ${path}: ${messageOf(cause)}`, {
    hint: "Check the file's permissions, or run as the user it belongs to.",
    cause,
  });
}

/** Every text is quoted: an id of digits alone would be read as a number. JSON's quoting is YAML's. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

function sourceLines(source: SourceConfig): string[] {
  const exclude = source.exclude.map((pattern) => `      - ${quoted(pattern)}`);
  return [`  - path: ${quoted(source.path)}`, ...(exclude.length === 0 ? [] : ["    exclude:", ...exclude])];
}

/** The text of a new configuration, with comments and without secrets. Throws E_CONFIG where it would not load again. */
export function formatConfig(wanted: NewConfig): string {
  const signers = (wanted.signers ?? []).map((signer) => `  - ${quoted(signerLine(signer))}`);
  const { databases = [] } = wanted;
  const text = `${[
    "# coldkeep configuration. There are no secrets in this file; the host's own keys lie in keys/ beside it.",
    "# `coldkeep config check` says whether it is right, `coldkeep config schema` prints every key.",
    "",
    "# The vault all regions belong to. Never change it.",
    `vault: ${quoted(wanted.vault)}`,
    "",
    "# This host's name in the vault.",
    `host: ${quoted(wanted.host)}`,
    "",
    "# Every region holds a full copy: file:///path, or s3://bucket/prefix?endpoint=https://host:port&aws-region=name.",
    "# `retry: 2m` and `deadline: 12h` say how long one is waited for, `bandwidth: 20MiB` how much may move in a second.",
    "regions:",
    ...wanted.regions.flatMap(({ name, url }) => [`  - name: ${quoted(name)}`, `    url: ${quoted(url)}`]),
    "",
    "# How many regions must hold an archive for a run to count as done. Default: all but one, at least one.",
    wanted.copies === undefined ? "# copies: 1" : `copies: ${wanted.copies}`,
    "",
    "# Who can read the archives: public age keys. The secret ones do not belong on this host.",
    "recipients:",
    ...wanted.recipients.map((recipient) => `  - ${quoted(recipient)}`),
    "",
    "# Whose statements about archives are believed, beside this host's own.",
    ...(signers.length === 0 ? ["# signers:", '#   - "operator ed25519:…"'] : ["signers:", ...signers]),
    "",
    "# What is archived, and what of it is left out: patterns as in .gitignore; a leading / means the absolute path.",
    "sources:",
    ...wanted.sources.flatMap(sourceLines),
    "",
    "# Databases that are dumped into the archive while they run: docs/guide/databases.md.",
    ...(databases.length === 0 ? ["# databases:", "#   - type: postgresql"] : ["databases:", ...databases.map((type) => `  - type: ${type}`)]),
    "",
    "# Local state: a cache. Losing it costs time, never data.",
    `state: ${quoted(wanted.state)}`,
    "",
    "# Who is told of runs, where figures about them go, and how old the newest archive may be: docs/monitoring.md.",
    "# notify:",
    "#   - ping: {urlFile: /etc/coldkeep/ping-url}",
    "# metrics: {textfile: /var/lib/prometheus/node-exporter/coldkeep.prom}",
    "# log: {file: /var/log/coldkeep.log}",
    "# objectives: {rpo: 26h}",
    "",
    "# Defaults, to change when there is a reason.",
    "# compression: 3",
    "# volumeSize: 32MiB",
    "# memory: 128MiB",
    "# readers: 1",
    "# safety: {minSize: 500MiB, maxChange: 50%, mustExist: [/srv/data/.mounted]}",
    '# schedule: {at: "02:30", randomDelay: 45m}',
    "# retention: {daily: 7, weekly: 4, monthly: 12}",
  ].join("\n")}\n`;
  if (/AGE-SECRET-KEY-|ed25519-secret:/i.test(text)) throw new ColdkeepError("E_CONFIG", "a secret key was about to be written into the configuration");
  parseConfig(text, "the new configuration");
  return text;
}
