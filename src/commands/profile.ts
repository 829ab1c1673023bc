/** `coldkeep profile`: what this machine is, or what an archive's machine was. */
import { existsSync } from "node:fs";
import { configPath, type LoadedConfig } from "../config/load.ts";
import { profileHere, profileOfArchive } from "../engine/machine-profile.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { openSealedVault } from "./open.ts";
import { ownConfig } from "./own-config.ts";
import { profileText } from "./profile-text.ts";
import type { ProfileOptions } from "./verb-options.ts";

/** The configuration, where there is one: a machine has a profile without any. Throws E_CONFIG for one that was named, or is wrong. */
function configIfAny(context: CommandContext, explicit: string | undefined): LoadedConfig | null {
  const path = configPath(explicit, context.env, context.uid);
  return explicit === undefined && !existsSync(path) ? null : ownConfig(context, explicit);
}

export async function run(context: CommandContext, _args: readonly string[], options: ProfileOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const isHere = options.archive === undefined && options.kit === undefined && options.region === undefined;
  if (isHere) {
    const profile = await profileHere(configIfAny(context, options.config), context.now(), signal);
    if (terminal.wantsJson) terminal.json({ archive: null, profile });
    else terminal.data(profileText(profile).join("\n"));
    return EXIT.done;
  }
  using vault = await openSealedVault(context, options);
  const { archive, host, profile } = await profileOfArchive(vault, options.archive);
  if (terminal.wantsJson) terminal.json({ archive, host, profile });
  else terminal.data([`archive ${archive} of ${host}`, ...profileText(profile)].join("\n"));
  return EXIT.done;
}
