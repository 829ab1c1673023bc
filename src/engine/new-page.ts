/** Pages for people, written where nothing is yet. */
import { createFileExclusive } from "../disk/atomic-write.ts";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";

/** Writes a page into a new file for its owner alone. Throws E_REFUSED when something is there, E_DISK. */
export function writePage(path: string, text: string): void {
  try {
    createFileExclusive(path, Buffer.from(text.endsWith("\n") ? text : `${text}\n`), 0o600);
  } catch (cause) {
    if (systemCode(cause) === "EEXIST") throw new ColdkeepError("E_REFUSED", `${path} is there already`, { hint: "Name another file: nothing is overwritten." });
    throw new ColdkeepError("E_DISK", `cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
}
