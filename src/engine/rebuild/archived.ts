/** What a rebuild has to know of an archive before it changes anything: profile, dumps, and a few small files. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../config/parse.ts";
import type { Config } from "../../config/schema.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { type DataFact, readDataFacts } from "../../format/data-facts.ts";
import { isContinuation } from "../../format/entry.ts";
import { isWithin } from "../../format/entry-path.ts";
import { type Profile, readProfile } from "../../format/profile.ts";
import type { CatalogReader } from "../catalog-reader.ts";
import type { Emit } from "../events.ts";
import type { FoundArchive, OpenVault } from "../open-vault.ts";
import { runRestore } from "../restore.ts";

/** Files of accounts that are merged, not restored. */
const ACCOUNT_FILES = { shadow: "/etc/shadow", subuid: "/etc/subuid", subgid: "/etc/subgid" } as const;

export type Archived = {
  found: FoundArchive;
  catalog: CatalogReader;
  profile: Profile;
  dumps: DataFact[];
  config: Config;
  configPath: string;
  keysDir: string;
  /** Text of /etc/shadow and the like; empty where the archive does not hold it. */
  accounts: { shadow: string; subuid: string; subgid: string };
};

/** The paths among `paths` that the archive holds something at or below of. */
export async function presentPaths(catalog: CatalogReader, paths: readonly string[]): Promise<string[]> {
  const segments = catalog.segmentsFor(paths);
  await catalog.fetch(segments);
  const present = new Set<string>();
  for (const line of catalog.lines(segments)) {
    if (isContinuation(line)) continue;
    for (const path of paths) if (!present.has(path) && isWithin(line.path, path)) present.add(path);
    if (present.size === paths.length) break;
  }
  return paths.filter((path) => present.has(path));
}

/** Restores a few paths into a folder of their own; what the archive lacks of them is left out. Throws E_OBJECT when bytes of one are lost everywhere. */
export async function fetchPaths(vault: OpenVault, { found, catalog }: Pick<Archived, "found" | "catalog">, paths: readonly string[], target: string, emit: Emit, signal: AbortSignal): Promise<string[]> {
  const present = await presentPaths(catalog, paths);
  if (present.length === 0) return [];
  const report = await runRestore({ vault, archive: found, paths: present, target, merge: true, numericOwner: true, thaw: null, emit, signal });
  const [lost] = report.lost;
  if (lost !== undefined) throw new ColdkeepError("E_OBJECT", `no region has ${lost.toWellFormed()} of archive ${found.seen.header.id} right`, { hint: "Rebuild from an earlier archive with --archive." });
  return present;
}

function read(folder: string, path: string): string {
  try {
    return readFileSync(join(folder, path), "utf8");
  } catch {
    return "";
  }
}

/** Throws E_REFUSED for an archive without a profile, E_CONFIG, E_NOT_FOUND, E_SIGNER, E_IDENTITY, E_OBJECT. */
export async function readArchived(vault: OpenVault, wanted: string | undefined, emit: Emit, signal: AbortSignal): Promise<Archived> {
  const found = await vault.archive(wanted);
  const catalog = await vault.catalog(found.seen, found.manifest);
  const { head } = catalog.root;
  const profile = readProfile(head.profile);
  const [configPath, keysDir] = head.sources.slice(-2);
  if (profile === null || configPath === undefined || keysDir === undefined) {
    throw new ColdkeepError("E_REFUSED", `archive ${head.id} says nothing of the machine it is of`, { hint: "Restore its files with `coldkeep restore --to DIR`, or name an archive made with a machine profile: --archive ID." });
  }
  const folder = mkdtempSync(join(tmpdir(), "coldkeep-rebuild-"));
  try {
    mkdirSync(join(folder, "files"), { mode: 0o700 });
    const target = join(folder, "files");
    await fetchPaths(vault, { found, catalog }, [configPath, ...Object.values(ACCOUNT_FILES)], target, emit, signal);
    return {
      found,
      catalog,
      profile,
      dumps: readDataFacts(head.databases),
      config: configOf(read(target, configPath), configPath),
      configPath,
      keysDir,
      accounts: { shadow: read(target, ACCOUNT_FILES.shadow), subuid: read(target, ACCOUNT_FILES.subuid), subgid: read(target, ACCOUNT_FILES.subgid) },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function configOf(text: string, path: string): Config {
  try {
    return parseConfig(text, path);
  } catch (cause) {
    throw new ColdkeepError("E_CONFIG", `the archived configuration ${path} cannot be used: ${messageOf(cause)}`, { hint: "It may be of a newer coldkeep: use that version, or restore files with `coldkeep restore --to DIR`.", cause });
  }
}
