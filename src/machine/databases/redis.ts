/** Dumps of Redis and Valkey: the stream a replica would get, as one RDB file. */
import { join } from "node:path";
import type { ServerConfig } from "../../config/data-schema.ts";
import { requireWell, streamTool } from "../run-tool.ts";
import { EndMarkStripper } from "./end-mark.ts";
import { RdbCounter } from "./rdb-counter.ts";
import { RedisClient } from "./redis-client.ts";
import { type DataSource, dumpFolder, isLocalServer, realPath } from "./source.ts";

const SETTINGS = ["dir", "dbfilename", "appendfilename", "appenddirname"];

/** Asks the server what it is. Throws E_DISK, E_NOT_FOUND, E_CONFIG, E_REFUSED, the signal's reason. */
export async function planRedis(config: ServerConfig, signal: AbortSignal): Promise<DataSource> {
  const { name, onError, timeoutMs, keepFiles } = config;
  const client = await RedisClient.open(config, signal);
  const server = await client.info("server", signal);
  const settings = await client.settings(SETTINGS, signal);
  const isLocal = isLocalServer(config);
  const directory = isLocal ? realPath(settings.get("dir") ?? "") : "";
  const address = config.socket ?? `${config.host === null ? "" : `${config.host}:`}${server.get("tcp_port") ?? ""}`;
  const fact = { engine: "redis" as const, name, version: server.get("redis_version") ?? "", dataDirectory: directory, address, unit: "" };
  // Its directory may be anybody's: only its own files are left out.
  const own = ["dbfilename", "appendfilename", "appenddirname"].flatMap((key) => settings.get(key) ?? []).filter((file) => file !== "");
  const write: DataSource["dumps"][number]["write"] = async (sink, stop) => {
    const counter = new RdbCounter();
    const order = client.order(["--rdb", "-"], timeoutMs, stop);
    const stripper = new EndMarkStripper(async (bytes) => {
      counter.add(bytes);
      await sink(bytes);
    });
    requireWell(order, await streamTool({ ...order, output: (bytes) => stripper.add(bytes) }));
    await stripper.finish();
    return { rows: counter.finish() ?? {} };
  };
  return {
    label: `redis ${name}`,
    onError,
    fact,
    dumps: [{ path: `${dumpFolder(fact)}/dump.rdb`, what: "rdb", name: settings.get("dbfilename") || "dump.rdb", write }],
    leftOut: keepFiles || directory === "" ? [] : own.map((file) => join(directory, file)),
    settings: [],
    notes: [],
  };
}
