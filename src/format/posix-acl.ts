/** POSIX ACLs as the kernel shows them in xattrs (linux/posix_acl_xattr.h): a version, then a tag, permissions and an id for each entry. */
const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const TAG_USER = 0x02;
const TAG_GROUP = 0x08;

/** Numbers of users and groups where they were archived → what they are here; only those that differ. */
export type IdMap = { users: ReadonlyMap<number, number>; groups: ReadonlyMap<number, number> };

/** Whether an xattr is an ACL. */
export function isAcl(name: string): boolean {
  return name === "system.posix_acl_access" || name === "system.posix_acl_default";
}

/** The ACL with the numbers of its named users and groups replaced; one of another form comes back as it is. */
export function remapAcl(value: Buffer, { users, groups }: IdMap): Buffer {
  if (value.length < HEADER_BYTES || (value.length - HEADER_BYTES) % ENTRY_BYTES !== 0 || value.readUInt32LE(0) !== VERSION) return value;
  const mapped = Buffer.from(value);
  for (let at = HEADER_BYTES; at < mapped.length; at += ENTRY_BYTES) {
    const tag = mapped.readUInt16LE(at);
    const ids = tag === TAG_USER ? users : tag === TAG_GROUP ? groups : undefined;
    const id = ids?.get(mapped.readUInt32LE(at + 4));
    if (id !== undefined) mapped.writeUInt32LE(id, at + 4);
  }
  return mapped;
}
