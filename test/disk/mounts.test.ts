import { describe, expect, test } from "vitest";
import { fileSystemClass, MountChooser, MountTable, parseMountInfo, readMounts } from "../../src/disk/mounts.ts";

/** Lines of `id parent dev root path type`. */
function table(...rows: string[]): MountTable {
  const lines = rows.map((row) => {
    const [id, parent, dev, root, path, type] = row.split(" ");
    return `${id} ${parent} ${dev} ${root} ${path} rw,relatime shared:1 - ${type} /dev/source rw`;
  });
  return new MountTable(parseMountInfo(Buffer.from(`${lines.join("\n")}\n`)));
}

describe("mountinfo", () => {
  test("escapes, bytes that are not UTF-8 and any number of optional fields", () => {
    const line = Buffer.concat([Buffer.from("36 35 98:0 /a\\040b /mnt/\\134\\011\\012x"), Buffer.of(0xff), Buffer.from(" rw - ext3 /dev/my\\040disk rw\n")]);
    expect(parseMountInfo(line)).toEqual([
      { id: 36, parentId: 35, dev: "98:0", root: "/a b", path: "/mnt/\\\t\nx\udcff", fsType: "ext3", source: "/dev/my disk" },
    ]);
    expect(() => parseMountInfo(Buffer.from("36 35 98:0\n"))).toThrow(/unknown form/);
  });

  test("the machine's own has a root", () => {
    expect(readMounts().containing("/proc/self")?.fsType).toBe("proc");
  });

  test("a mount that another was put over is not seen", () => {
    const mounts = table("1 0 8:1 / / ext4", "2 1 8:2 / /a/b ext4", "3 1 8:3 / /a xfs", "4 1 8:4 / /c ext4", "5 4 8:5 / /c nfs", "6 4 8:6 / /c/d ext4");
    expect(mounts.at("/a/b")).toBeUndefined();
    expect(mounts.containing("/a/b/x")?.dev).toBe("8:3");
    expect(mounts.at("/c")?.fsType).toBe("nfs");
    expect(mounts.at("/c/d")).toBeUndefined();
  });
});

test.each([
  ["ext4", "local"], ["btrfs", "local"], ["zfs", "local"], ["fuseblk", "local"], ["proc", "pseudo"], ["cgroup2", "pseudo"], ["autofs", "pseudo"],
  ["nfs4", "network"], ["9p", "network"], ["fuse.sshfs", "network"], ["tmpfs", "temporary"], ["overlay", "layered"], ["squashfs", "image"], ["newfs", "unknown"],
] as const)("%s is %s", (type, kind) => {
  expect(fileSystemClass(type)).toBe(kind);
});

describe("which mounts a walk enters", () => {
  const mounts = table(
    "1 0 8:1 / / ext4", "2 1 0:5 / /proc proc", "3 1 8:2 / /home xfs", "4 1 0:9 / /srv/nas nfs4", "5 1 8:1 /etc /srv/etc-again ext4", "6 1 8:1 / /srv/all ext4",
    "7 1 8:3 / /srv/one ext4", "8 1 8:3 / /srv/two ext4", "9 1 8:1 /data /srv/bound ext4", "10 1 8:1 /srv/sub /srv/sub-again ext4",
  );

  test("local ones below a source, and each content once", () => {
    const chooser = new MountChooser(mounts);
    expect(chooser.enterSource("/srv")).toBeUndefined();
    expect(chooser.skipped("/srv/nas")?.reason).toMatch(/network/);
    expect(chooser.skipped("/srv/one")).toBeUndefined();
    expect(chooser.skipped("/srv/two")?.reason).toBe("shows again what is kept below /srv/one");
    expect(chooser.skipped("/srv/sub-again")?.reason).toBe("shows again what is kept below /srv");
    expect(chooser.skipped("/srv/all")?.reason).toMatch(/mounted below/);
    // Neither /etc nor /data is a source: what is bound here is kept nowhere else.
    expect(chooser.skipped("/srv/etc-again")).toBeUndefined();
    expect(chooser.skipped("/srv/bound")).toBeUndefined();
    expect(chooser.skipped("/srv/plain")).toBeUndefined();
  });

  test("a bound directory that is hidden at its own place is kept", () => {
    const hidden = table("1 0 8:1 / / ext4", "2 1 8:2 / /data ext4", "3 1 8:1 /data /old ext4");
    const chooser = new MountChooser(hidden);
    chooser.enterSource("/");
    expect(chooser.skipped("/old")).toBeUndefined();
  });

  test("a directory mounted onto itself is as if it was not, also on a file system that is else skipped", () => {
    for (const root of ["1 0 8:1 / / ext4", "1 0 0:40 / / overlay", "1 0 8:1 /@ / btrfs"]) {
      const [, , dev, inside, , type] = root.split(" ");
      const at = (path: string): string => `${dev} ${inside === "/" ? "" : inside}${path} ${path} ${type}`;
      const chooser = new MountChooser(table(root, `2 1 ${at("/tmp")}`, `3 1 ${at("/var/lib/x")}`, `4 3 ${at("/var/lib/x/y")}`, `5 1 ${dev} /tmp /srv/tmp ${type}`));
      chooser.enterSource("/");
      expect(["/tmp", "/var/lib/x", "/var/lib/x/y"].map((path) => chooser.skipped(path))).toEqual([undefined, undefined, undefined]);
    }
    const chooser = new MountChooser(table("1 0 8:1 / / ext4", "2 1 8:1 /tmp /tmp ext4", "3 1 8:1 /tmp /srv/tmp ext4"));
    chooser.enterSource("/");
    expect(chooser.skipped("/srv/tmp")?.reason).toBe("shows again what is kept below /");
  });

  test("a source is taken whatever it lies on, but for pseudo file systems", () => {
    const chooser = new MountChooser(mounts);
    expect(chooser.enterSource("/srv/nas/data")).toBeUndefined();
    expect(chooser.enterSource("/proc/sys")).toMatch(/pseudo/);
  });
});
