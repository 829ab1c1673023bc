/** From reading options to an open vault. */
import { readerCache } from "../config/reader-cache.ts";
import { OpenVault, type Authority } from "../engine/open-vault.ts";
import { parseSignerArgument } from "../format/kit.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { requireKitAt, unsealed } from "./passphrase.ts";
import type { OpeningOptions, ReadingOptions } from "./verb-options.ts";

/** Who says which regions there are and whom to trust, by a verb's options. Throws E_CONFIG, E_KIT. */
export async function authorityOf(context: CommandContext, options: Pick<ReadingOptions, "config" | "kit"> & { signer?: readonly string[] }): Promise<Authority> {
  if (options.kit !== undefined) return { kind: "kit", kit: requireKitAt(context, options.kit) };
  const { signer: signers = [] } = options;
  if (signers.length > 0) return { kind: "signers", signers: signers.map((signer) => parseSignerArgument(signer)) };
  // Loaded here only: with a kit, reading configurations would be a tenth of the start.
  const { ownConfig } = await import("./own-config.ts");
  return { kind: "config", loaded: ownConfig(context, options.config) };
}

function open(context: CommandContext, { region, host }: ReadingOptions, authority: Authority, order: { waitsForAll: boolean; readerCache?: string | undefined }): Promise<OpenVault> {
  return OpenVault.open({ ...order, authority, region, host, emit: emitTo(context.terminal), signal: context.signal });
}

/** Opens what the options name, without the regions that answer late, unless it `waitsForAll`, and then nothing kept from earlier counts. A sealed kit stays so. The caller closes it. Throws E_CONFIG, E_KIT, E_REGION, E_USAGE. */
export async function openVault(context: CommandContext, options: ReadingOptions, waitsForAll = false): Promise<OpenVault> {
  return open(context, options, await authorityOf(context, options), { waitsForAll, readerCache: waitsForAll ? undefined : readerCache(context.env) });
}

/** The same for what an identity opens: asks for the passphrase of a kit that has one, before anything else. What restores leaves nothing in a home that it may be about to bring back. */
export async function openSealedVault(context: CommandContext, options: OpeningOptions, waitsForAll = false): Promise<OpenVault> {
  const authority = await authorityOf(context, options);
  const opened: Authority = authority.kind === "kit" ? { kind: "kit", kit: await unsealed(context, authority.kit, options) } : authority;
  return open(context, options, opened, { waitsForAll });
}
