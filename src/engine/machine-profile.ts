/** Profiles: of this machine as it is, and of an archive. */
import type { LoadedConfig } from "../config/load.ts";
import { ColdkeepError } from "../errors.ts";
import { readProfile, type Profile } from "../format/profile.ts";
import { takeProfile } from "../machine/profile/take-profile.ts";
import type { Coverage } from "../machine/profile/uncovered.ts";
import { driftOf, type Drift } from "../policy/drift.ts";
import { parseRegionUrl } from "../storage/region-url.ts";
import type { OpenVault } from "./open-vault.ts";

/** Regions that are directories of this machine. */
function vaultDirectories({ config }: LoadedConfig): string[] {
  return config.regions.map(({ url }) => parseRegionUrl(url)).flatMap((url) => (url.kind === "directory" ? [url.path] : []));
}

/** Where the vault and the state lie on this machine. */
export function ownDirectories(loaded: LoadedConfig): string[] {
  return [...vaultDirectories(loaded), loaded.config.state];
}

/** Where servers keep their own files by default: a dump stands for them. */
const SERVER_FILES = { postgresql: ["/var/lib/postgresql"], mysql: ["/var/lib/mysql"], redis: ["/var/lib/redis", "/var/lib/valkey"] } as const;

/** What needs no source, or has one. */
export function coverageOf(loaded: LoadedConfig): Coverage {
  const { sources, state, machine, databases } = loaded.config;
  const dumped = databases.flatMap((each) => (each.type === "sqlite" ? [each.path] : SERVER_FILES[each.type]));
  return { sources: [...sources.map(({ path }) => path), loaded.dir], vaults: vaultDirectories(loaded), except: [state, ...machine.ignoreUncovered, ...dumped] };
}

/** Of this machine now; with a configuration, also what its sources do not cover. */
export function profileHere(loaded: LoadedConfig | null, nowMs: number, signal: AbortSignal): Promise<Profile> {
  return takeProfile({ nowMs, coverage: loaded === null ? null : coverageOf(loaded), signal });
}

export type ArchivedProfile = { archive: string; host: string; profile: Profile };

/** Fetches no more than the root of the catalog. Throws E_NOT_FOUND where the archive has no profile, E_FORMAT, E_OBJECT, E_IDENTITY. */
export async function profileOfArchive(vault: OpenVault, wanted: string | undefined): Promise<ArchivedProfile> {
  const { seen, manifest } = await vault.archive(wanted);
  const { head } = (await vault.catalog(seen, manifest)).root;
  const profile = readProfile(head.profile);
  if (profile !== null) return { archive: head.id, host: head.host, profile };
  if (Object.keys(head.profile).length === 0) throw new ColdkeepError("E_NOT_FOUND", `archive ${head.id} holds no profile of its machine`, { hint: "Set `machine: {profile: true}` in the configuration: the next backup takes one along." });
  throw new ColdkeepError("E_FORMAT", `the profile in archive ${head.id} has not the form of one`, { hint: "Its files can be restored all the same: coldkeep restore --to DIR." });
}

export type DriftHere = { archive: string; /** ISO time of the archive's profile. */ takenAt: string; drift: Drift[]; /** What could not be compared. */ gaps: Profile["gaps"] };

/** This machine against the profile of an archive of its own. Throws as `profileOfArchive`. */
export async function driftHere(vault: OpenVault, loaded: LoadedConfig, wanted: string | undefined, nowMs: number, signal: AbortSignal): Promise<DriftHere> {
  const [archived, here] = await Promise.all([profileOfArchive(vault, wanted), profileHere(loaded, nowMs, signal)]);
  return { archive: archived.archive, takenAt: archived.profile.takenAt, drift: driftOf(archived.profile, here), gaps: here.gaps };
}
