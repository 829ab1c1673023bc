/** What a replacement must offer, compared with this machine: before anything is downloaded or changed. */
import { factsOfThisMachine } from "../machine/facts-here.ts";
import { type Adequacy, checkAdequacy, type Here, type Waiver } from "../policy/adequacy.ts";
import { type ArchivedProfile, profileOfArchive } from "./machine-profile.ts";
import type { OpenVault } from "./open-vault.ts";

export type Requirements = ArchivedProfile & { here: Here; adequacy: Adequacy };

/** Fetches the root of the catalog, and no more. Throws as `profileOfArchive`. */
export async function readRequirements(vault: OpenVault, wanted: string | undefined, accepted: readonly Waiver[], signal: AbortSignal): Promise<Requirements> {
  const [archived, here] = await Promise.all([profileOfArchive(vault, wanted), factsOfThisMachine(signal)]);
  return { ...archived, here, adequacy: checkAdequacy(archived.profile, here, accepted) };
}
