/** Ids of archives, volumes, catalogs, checkpoints and records: a UTC time in ms, `-`, 16 random characters (format §2). */
import { ColdkeepError } from "../errors.ts";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const ID = /^(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)(\d{3})z-[a-z2-7]{16}$/;

/** Characters of an id. */
export const ID_LENGTH = 36;
/** Those of its time: enough to name an archive of a host, of which no two have one. */
export const ID_TIME_LENGTH = 19;
/** Random bytes `makeId` takes. */
export const ID_RANDOM_BYTES = 10;

/** What an id of `timeMs` (ms since 1970) begins with. */
export function idTimeText(timeMs: number): string {
  return new Date(timeMs).toISOString().toLowerCase().replace(/[-:.]/g, "");
}

/** An id for `timeMs` (ms since 1970) from `random` (10 bytes). */
export function makeId(timeMs: number, random: Uint8Array): string {
  let bits = 0n;
  for (const byte of random.subarray(0, ID_RANDOM_BYTES)) bits = (bits << 8n) | BigInt(byte);
  let text = "";
  for (let shift = 75n; shift >= 0n; shift -= 5n) text += ALPHABET[Number((bits >> shift) & 31n)];
  return `${idTimeText(timeMs)}-${text}`;
}

/** Lines of a catalog name the same few volumes over and over. */
let lastFound = "";

export function isId(text: string): boolean {
  if (text === lastFound) return true;
  const found = Number.isFinite(idTimeMs(text));
  if (found) lastFound = text;
  return found;
}

/** The time in an id, ms since 1970; NaN when it is not one. */
export function idTimeMs(id: string): number {
  const m = ID.exec(id);
  return m ? Date.parse(`${m[1]}-${m[2]}-${m[3]}T${m[4]}:${m[5]}:${m[6]}.${m[7]}Z`) : Number.NaN;
}

/** The one id among `ids` that starts with `prefix`. Throws E_NOT_FOUND when none or several do. */
export function findId(prefix: string, ids: Iterable<string>, what: string): string {
  const found = [...ids].filter((id) => id.startsWith(prefix.toLowerCase()));
  if (found.length === 1 && found[0] !== undefined) return found[0];
  const hint = "Run `coldkeep list` to see the archives.";
  if (found.length === 0) throw new ColdkeepError("E_NOT_FOUND", `no ${what} starts with "${prefix}"`, { hint });
  throw new ColdkeepError("E_NOT_FOUND", `${found.length} ${what}s start with "${prefix}": ${found.slice(0, 3).join(", ")}`, { hint });
}
