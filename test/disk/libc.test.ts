import { closeSync, ftruncateSync, lstatSync, openSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { systemCode } from "../../src/errors.ts";
import { deviceText, major, makedev, minor, parseDevice } from "../../src/disk/device-number.ts";
import { fileTimeText, parseFileTime } from "../../src/disk/file-time.ts";
import { type FileRef, libc as loaded } from "../../src/disk/libc.ts";
import { lstatText } from "../../src/disk/stat.ts";
import { tempDir } from "../support/temp-dir.ts";

const isRoot = process.geteuid?.() === 0;

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    return systemCode(error);
  }
  return undefined;
}

function calls(): NonNullable<typeof loaded> {
  if (!loaded) throw new Error("the C library cannot be called here");
  return loaded;
}

describe("libc", () => {
  test("attributes round trip by path, by bytes and by descriptor", () => {
    const libc = calls();
    const path = join(tempDir(), "file é");
    writeFileSync(path, "");
    const fd = openSync(path, "r+");
    const refs: FileRef[] = [path, Buffer.from(path), fd];
    for (const [i, file] of refs.entries()) {
      libc.setXattr(file, `user.n${i}`, Buffer.from([0, 255, i]));
      libc.setXattr(file, `user.empty${i}`, Buffer.alloc(0));
      expect(libc.getXattr(refs[(i + 1) % 3] ?? "", `user.n${i}`)).toEqual(Buffer.from([0, 255, i]));
      expect(libc.getXattr(file, `user.empty${i}`)).toHaveLength(0);
    }
    expect(libc.listXattrs(fd).toSorted()).toEqual(["user.empty0", "user.empty1", "user.empty2", "user.n0", "user.n1", "user.n2"]);
    libc.removeXattr(fd, "user.n0");
    expect(codeOf(() => libc.getXattr(path, "user.n0"))).toBe("ENODATA");
    closeSync(fd);
  });

  test("a value of 3,000 bytes comes back whole, and the next answer does not overwrite it", () => {
    const path = join(tempDir(), "file");
    writeFileSync(path, "");
    calls().setXattr(path, "user.large", Buffer.alloc(3000, 7));
    const value = calls().getXattr(path, "user.large");
    calls().setXattr(path, "user.large", Buffer.alloc(3000, 8));
    expect(calls().getXattr(path, "user.large")).toEqual(Buffer.alloc(3000, 8));
    expect(value).toEqual(Buffer.alloc(3000, 7));
  });

  test("failures carry the system's code and number", () => {
    expect(codeOf(() => calls().listXattrs("/nonexistent/x"))).toBe("ENOENT");
    expect(codeOf(() => calls().seekData(9999, 0))).toBe("EBADF");
    expect(codeOf(() => calls().listXattrs("/etc\0/passwd"))).toBe("EINVAL");
    expect(() => calls().setTimes("/nonexistent/x", { sec: 0n, nsec: 0 })).toThrow(expect.objectContaining({ errno: 2 }));
  });

  test("times are exact to the nanosecond, before 1970 too, and of a link itself", () => {
    const dir = tempDir();
    const file = join(dir, "file");
    const link = join(dir, "link");
    writeFileSync(file, "");
    symlinkSync("file", link);
    const fd = openSync(file, "r");
    for (const text of ["1700000000.123456789", "-5.500000000", "0.000000001", "-1.999999999", "4000000000.000000007"]) {
      calls().setTimes(fd, parseFileTime(text));
      expect(lstatText(file)?.mtime).toBe(text);
    }
    calls().setTimes(link, parseFileTime("-100000.000000009"));
    expect(lstatText(link)?.mtime).toBe("-100000.000000009");
    expect(lstatText(file)?.mtime).toBe("4000000000.000000007");
    closeSync(fd);
  });

  test("data and holes are found", () => {
    const fd = openSync(join(tempDir(), "sparse"), "w+");
    ftruncateSync(fd, 8 << 20);
    writeSync(fd, Buffer.alloc(65_536, 1), 0, 65_536, 4 << 20);
    expect(calls().seekData(fd, 0)).toBe(4 << 20);
    expect(calls().seekHole(fd, 4 << 20)).toBe((4 << 20) + 65_536);
    expect(codeOf(() => calls().seekData(fd, 5 << 20))).toBe("ENXIO");
    calls().adviseDontNeed(fd, 0, 8 << 20);
    expect(codeOf(() => calls().adviseDontNeed(9999, 0, 1))).toBe("EBADF");
    closeSync(fd);
  });

  test.runIf(isRoot)("devices are made with their numbers", () => {
    const path = join(tempDir(), "node");
    calls().makeNode(path, 0o020600, makedev(1, 3));
    expect(lstatSync(path).rdev).toBe(lstatSync("/dev/null").rdev);
    expect(lstatText(path)).toMatchObject({ type: "char", rdev: "1:3", mode: 0o600 });
  });
});

describe("numbers as text", () => {
  test("device numbers", () => {
    const word = fc.nat({ max: 0xffff_ffff });
    fc.assert(
      fc.property(word, word, (high, low) => {
        const dev = makedev(high, low);
        expect([major(dev), minor(dev)]).toEqual([high, low]);
        expect(parseDevice(deviceText(dev))).toBe(dev);
      }),
    );
    expect(makedev(8, 17)).toBe(0x811n);
    expect(makedev(259, 300_000)).toBe(0x4931_03e0n);
    for (const text of ["", "8", "8:", "-1:2", "8:4294967296", "8:1:2"]) expect(() => parseDevice(text)).toThrow(/not a device number/);
  });

  test("file times", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), (ns) => {
        const { sec, nsec } = parseFileTime(fileTimeText(ns));
        expect(sec * 1_000_000_000n + BigInt(nsec)).toBe(ns);
        expect(nsec).toBeGreaterThanOrEqual(0);
      }),
    );
    expect(fileTimeText(-4_500_000_000n)).toBe("-5.500000000");
    for (const text of ["1", "1.5", "1.0000000000", "+1.000000000", " 1.000000000", "1e3.000000000"]) expect(() => parseFileTime(text)).toThrow(/not a file time/);
  });
});
