/** What a status and a report measure a host by. */
import type { LoadedConfig } from "../config/load.ts";
import { type LocalFacts, NOTHING_LOCAL, readLocalFacts } from "../engine/local-facts.ts";
import type { OpenVault } from "../engine/open-vault.ts";
import { requiredCopies } from "../policy/copies.ts";
import { DEFAULT_OBJECTIVES, type Objectives } from "../policy/readiness.ts";
import type { CommandContext } from "./command.ts";
import { ownConfig } from "./own-config.ts";
import type { ReadingOptions } from "./verb-options.ts";

export type Promised = { objectives: Objectives; copies: number; loaded: LoadedConfig | null };

/** What the host's own configuration promises; a kit knows of no promise, so the usual one is taken. */
export function promised(context: CommandContext, options: ReadingOptions & { rpo?: number | undefined }, vault: OpenVault): Promised {
  const hasConfig = options.kit === undefined && options.signer.length === 0;
  const loaded = hasConfig ? ownConfig(context, options.config) : null;
  const objectives = loaded?.config.objectives ?? DEFAULT_OBJECTIVES;
  return { objectives: { ...objectives, rpoMs: options.rpo ?? objectives.rpoMs }, copies: loaded?.config.copies ?? requiredCopies(undefined, vault.regions.length), loaded };
}

/** What this machine remembers, which is about the host whose configuration it has. */
export function localFactsFor(context: CommandContext, loaded: LoadedConfig | null, host: string, nowMs: number): LocalFacts {
  return loaded?.config.host === host ? readLocalFacts(loaded, context.program, nowMs) : NOTHING_LOCAL;
}
