/** Headers for a request that are nobody else's business, in a private file. */
import { ColdkeepError } from "../errors.ts";
import { readPrivateFile } from "./private-file.ts";

/** `Name: value` in each line, by lower-case name. Throws E_CONFIG, whose message repeats no value, E_REFUSED as `readPrivateFile`. */
export function readHeaderFile(path: string): Record<string, string> {
  const text = readPrivateFile(path);
  if (text === null) throw new ColdkeepError("E_CONFIG", `there is no file ${path}`);
  const headers: Record<string, string> = {};
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x20-\x7e]+?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new ColdkeepError("E_CONFIG", `${path}:${index + 1} is not a header like "Name: value"`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}
