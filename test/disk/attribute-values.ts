/** Attribute values as the kernel keeps them, so that tests need no tools beyond a bare system. */

/** An ACL (linux/posix_acl_xattr.h: version 2, then tag, permissions and id) that lets one more user read, mode 0775. */
export function posixAcl(user: number): Buffer {
  const entries = [[0x01, 7, 0xffff_ffff], [0x02, 4, user], [0x04, 7, 0xffff_ffff], [0x10, 7, 0xffff_ffff], [0x20, 5, 0xffff_ffff]] as const;
  const value = Buffer.alloc(4 + entries.length * 8);
  value.writeUInt32LE(2);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + i * 8);
    value.writeUInt16LE(permissions, 6 + i * 8);
    value.writeUInt32LE(id, 8 + i * 8);
  }
  return value;
}

/** CAP_NET_RAW, effective and permitted (linux/capability.h: struct vfs_cap_data, revision 2). */
export const netRawCapability = Buffer.from("0100000200200000000000000000000000000000", "hex");
