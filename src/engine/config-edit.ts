/** Puts an edited configuration in the place of the one that was read: whole or not at all. */
import { realpathSync, statSync } from "node:fs";
import { addConfigSigner } from "../config/edit.ts";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { writeFileDurable } from "../disk/atomic-write.ts";
import { ColdkeepError } from "../errors.ts";
import { type PinnedSigner, signerLine } from "../format/kit.ts";

/** Keeps the file's mode, and a link that leads to it. Throws E_REFUSED when the file changed since it was read, system errors. */
export function writeConfig(loaded: LoadedConfig, edited: string): void {
  if (edited === loaded.text) return;
  if (loadConfig(loaded.path).text !== loaded.text) throw new ColdkeepError("E_REFUSED", `${loaded.path} was changed meanwhile`, { hint: "Run again." });
  const path = realpathSync(loaded.path);
  writeFileDurable(path, Buffer.from(edited), statSync(path).mode & 0o777);
}

/** Adds a signer to the configuration; false when it is there already. Throws E_CONFIG where the text cannot be edited, E_REFUSED. */
export function pinInConfig(loaded: LoadedConfig, signer: PinnedSigner): boolean {
  if (loaded.config.signers.some((known) => signerLine(known) === signerLine(signer))) return false;
  writeConfig(loaded, addConfigSigner(loaded.text, loaded.path, signer));
  return true;
}
