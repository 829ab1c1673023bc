/** From reading options to an open vault. */
import { readKitFile } from "../config/kit-file.ts";
import { OpenVault, type Authority } from "../engine/open-vault.ts";
import { ColdkeepError } from "../errors.ts";
import { parseSignerArgument } from "../format/kit.ts";
import { resolve } from "node:path";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import type { ReadingOptions } from "./verb-options.ts";

function kitAuthority(path: string): Authority {
  const kit = readKitFile(path);
  if (kit === null) throw new ColdkeepError("E_KIT", `there is no kit ${path}`, { hint: "Give the file that `coldkeep init` wrote with --kit." });
  return { kind: "kit", kit };
}

/** Who says which regions there are and whom to trust, by a verb's options. Throws E_CONFIG, E_KIT. */
export async function authorityOf(context: CommandContext, options: Pick<ReadingOptions, "config" | "kit"> & { signer?: readonly string[] }): Promise<Authority> {
  if (options.kit !== undefined) return kitAuthority(resolve(context.cwd, options.kit));
  const { signer: signers = [] } = options;
  if (signers.length > 0) return { kind: "signers", signers: signers.map((signer) => parseSignerArgument(signer)) };
  // Loaded here only: with a kit, reading configurations would be a tenth of the start.
  const { ownConfig } = await import("./own-config.ts");
  return { kind: "config", loaded: ownConfig(context, options.config) };
}

/** Opens what the options name, without the regions that answer late, unless it `waitsForAll`. The caller closes it. Throws E_CONFIG, E_KIT, E_REGION, E_USAGE. */
export async function openVault(context: CommandContext, options: ReadingOptions, waitsForAll = false): Promise<OpenVault> {
  const authority = await authorityOf(context, options);
  return OpenVault.open({ authority, region: options.region, host: options.host, waitsForAll, emit: emitTo(context.terminal), signal: context.signal });
}
