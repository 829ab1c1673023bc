/** The kit as a file: private, because it holds the identity that opens every archive. */
import { ColdkeepError } from "../errors.ts";
import { type Kit, KIT_BYTES_MAX, parseKit } from "../format/kit.ts";
import { readPrivateFile } from "./private-file.ts";

/** The kit at `path`; null when there is none. Throws E_KIT when it is malformed, E_REFUSED when others may read it. */
export function readKitFile(path: string): Kit | null {
  const text = readPrivateFile(path, KIT_BYTES_MAX);
  return text === null ? null : parseKit(text);
}

/** The same for a kit that has to be there. Throws E_KIT, E_REFUSED. */
export function requireKit(path: string): Kit {
  const kit = readKitFile(path);
  if (kit !== null) return kit;
  throw new ColdkeepError("E_KIT", `there is no kit ${path}`, { hint: "Give the file that `coldkeep init` wrote with --kit." });
}
