/** The kit as a file: private, because it holds the identity that opens every archive. */
import { type Kit, KIT_BYTES_MAX, parseKit } from "../format/kit.ts";
import { readPrivateFile } from "./private-file.ts";

/** The kit at `path`; null when there is none. Throws E_KIT when it is malformed, E_REFUSED when others may read it. */
export function readKitFile(path: string): Kit | null {
  const text = readPrivateFile(path, KIT_BYTES_MAX);
  return text === null ? null : parseKit(text);
}
