/**
 * What surrounds the runs of a host, apart from what they do. It can be read from a configuration that is wrong elsewhere:
 * that the nightly run ends with exit 2 is just what someone wants to be told.
 */
import { readFileSync, statSync } from "node:fs";
import { isMap, parseDocument } from "yaml";
import { z } from "zod";
import { isHostLabel } from "../format/object-key.ts";
import { VAULT_ID } from "../format/vault-marker.ts";
import { DEFAULT_OBJECTIVES } from "../policy/readiness.ts";
import { ALIASES_MAX, CONFIG_BYTES_MAX } from "./parse.ts";
import type { Config } from "./schema.ts";
import { path } from "./value-types.ts";
import { type WatchConfig, watchKeys } from "./watch-schema.ts";

export type Surroundings = WatchConfig & {
  host: string | null;
  vault: string | null;
  /** The state folder. */
  state: string | null;
  /** Names of the regions. */
  regions: string[];
};

export function surroundingsOf(config: Config): Surroundings {
  const { host, vault, state, regions, notify, metrics, log, objectives } = config;
  return { host, vault, state, regions: regions.map(({ name }) => name), notify, metrics, log, objectives };
}

/** What can be understood of a configuration that cannot be loaded; null where it is no map of keys at all. */
export function looseSurroundings(configFile: string): Surroundings | null {
  let value: unknown;
  try {
    const stat = statSync(configFile);
    if (!stat.isFile() || stat.size > CONFIG_BYTES_MAX) return null;
    const document = parseDocument(readFileSync(configFile, "utf8"), { logLevel: "silent", strict: false, stringKeys: true });
    if (!isMap(document.contents)) return null;
    value = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch {
    // Whoever runs is told by the error of loading it.
    return null;
  }
  const keys = z.record(z.string(), z.unknown()).catch({}).parse(value);
  const read = <T>(schema: z.ZodType<T>, key: string): T | undefined => schema.safeParse(keys[key]).data;
  return {
    host: read(z.string().refine(isHostLabel), "host") ?? null,
    vault: read(z.string().regex(VAULT_ID), "vault") ?? null,
    state: read(path, "state") ?? null,
    regions: [],
    notify: read(watchKeys.notify, "notify") ?? [],
    metrics: read(watchKeys.metrics, "metrics") ?? null,
    log: read(watchKeys.log, "log") ?? null,
    objectives: read(watchKeys.objectives, "objectives") ?? DEFAULT_OBJECTIVES,
  };
}
