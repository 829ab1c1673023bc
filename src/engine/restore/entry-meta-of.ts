/** From an entry to what is set on disk: owners by name where this machine knows the name (as tar does), else by number. */
import type { EntryMeta } from "../../disk/entry-meta.ts";
import type { Owners } from "../../disk/owners.ts";
import type { Entry } from "../../format/entry.ts";

/** `owners` null: by number only. */
export function metaOf(entry: Pick<Entry, "mode" | "mtime" | "uid" | "gid" | "user" | "group" | "xattrs">, owners: Owners | null): EntryMeta {
  const uid = entry.user === undefined ? undefined : owners?.uidOf(entry.user);
  const gid = entry.group === undefined ? undefined : owners?.gidOf(entry.group);
  const { mode, mtime, xattrs } = entry;
  return { mode, mtime, uid: uid ?? entry.uid, gid: gid ?? entry.gid, ...(xattrs === undefined ? {} : { xattrs }) };
}
