/** Which files below /etc are not as their package brought them, or of no package: digests, for telling drift. */
import { createHash } from "node:crypto";
import { sha256Hex } from "../../codec/digest.ts";
import type { Profile } from "../../format/profile.ts";
import { KIB } from "../../units.ts";
import type { Look } from "./look.ts";
import type { Ownership } from "./ownership.ts";
import { type Budget, entriesOf, isSpent } from "./size-up.ts";

const FILE_BYTES_MAX = 512 * KIB;
const FILES_MAX = 4000;
const DEPTH_MAX = 8;

/** What services and tools write there by themselves, what is listed elsewhere in the profile, and what only holds secrets. */
const NOT_CONFIGURATION =
  /^\/etc\/(?:(?:passwd|group|shadow|gshadow|subuid|subgid)-?|mtab|ld\.so\.cache|adjtime|\.pwd\.lock|\.updated|machine-id|resolv\.conf|blkid\.tab|lvm\/(?:archive|backup|cache)\/.*|ssl\/certs\/.*|ca-certificates\.conf\.dpkg-.*|alternatives\/.*|rc[0-6S]\.d\/.*|apt\/(?:auth\.conf.*|trusted\.gpg.*|keyrings\/.*)|udev\/hwdb\.bin|credstore.*)$/;

function* filesBelow(look: Look, path: string, depth: number, budget: Budget): Generator<string> {
  if (depth > DEPTH_MAX) return;
  for (const entry of entriesOf(look.at(path))) {
    if (isSpent(budget)) return;
    budget.entries--;
    const child = `${path}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(look, child, depth + 1, budget);
    else if (entry.isFile()) yield child;
  }
}

/** By path. `conffiles` has the MD5 of each file as its package brought it. */
export function readConfiguration(look: Look, ownership: Ownership, conffiles: ReadonlyMap<string, string>, budget: Budget): Profile["configuration"] {
  const found: Profile["configuration"] = [];
  let unreadable = 0;
  const quiet = look.quietly();
  for (const path of filesBelow(look, "/etc", 0, budget)) {
    if (NOT_CONFIGURATION.test(path)) continue;
    const brought = conffiles.get(path);
    if (brought === undefined && ownership.of(path) !== undefined) continue;
    if ((quiet.stat(path)?.size ?? 0) > FILE_BYTES_MAX) continue;
    const bytes = quiet.bytes(path);
    if (bytes === null) unreadable++;
    else if (brought === undefined || createHash("md5").update(bytes).digest("hex") !== brought) found.push({ path, sha256: sha256Hex(bytes) });
    if (found.length >= FILES_MAX) break;
  }
  if (unreadable > 0) look.gap("configuration", `${unreadable} files below /etc could not be read`);
  if (isSpent(budget) || found.length >= FILES_MAX) look.gap("configuration", "/etc holds more files than were looked at");
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
