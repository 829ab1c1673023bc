/** From an entry to what is set on disk: owners by name where this machine knows the name (as tar does), else by number; ACLs as their map says. */
import type { EntryMeta } from "../../disk/entry-meta.ts";
import type { Owners } from "../../disk/owners.ts";
import type { Entry } from "../../format/entry.ts";
import { type IdMap, isAcl, remapAcl } from "../../format/posix-acl.ts";

export type Ownership = {
  /** Null: by number only. */
  names: Owners | null;
  /** For the numbers in ACLs; null: they stay. */
  aclIds: IdMap | null;
};

export function metaOf(entry: Pick<Entry, "mode" | "mtime" | "uid" | "gid" | "user" | "group" | "xattrs">, { names, aclIds }: Ownership): EntryMeta {
  const uid = entry.user === undefined ? undefined : names?.uidOf(entry.user);
  const gid = entry.group === undefined ? undefined : names?.gidOf(entry.group);
  const { mode, mtime } = entry;
  const xattrs = aclIds === null ? entry.xattrs : entry.xattrs?.map((xattr) => (isAcl(xattr.name) ? { ...xattr, value: remapAcl(xattr.value, aclIds) } : xattr));
  return { mode, mtime, uid: uid ?? entry.uid, gid: gid ?? entry.gid, ...(xattrs === undefined ? {} : { xattrs }) };
}
