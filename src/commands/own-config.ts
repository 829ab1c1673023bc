/** This host's configuration, for a verb. */
import { configPath, loadConfig, type LoadedConfig } from "../config/load.ts";
import type { CommandContext } from "./command.ts";

/** As it was read already for what surrounds the run, else read now. Throws E_CONFIG. */
export function ownConfig(context: CommandContext, explicit: string | undefined): LoadedConfig {
  return context.loaded ?? loadConfig(configPath(explicit, context.env, context.uid));
}
