import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openDirectoryStore } from "../../src/storage/directory-store.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { storeConformance } from "./conformance.ts";
import { digestOf, faultOf, listAll } from "./store-calls.ts";

const folder = mkdtempSync(join(tmpdir(), "coldkeep-directory-"));
afterAll(() => rmSync(folder, { recursive: true }));

function makeRoot(): string {
  return mkdtempSync(join(folder, "root-"));
}

storeConformance("directory", () => openStore("local", `file://${makeRoot()}`), { checksDigest: false });
storeConformance("directory without hard links", async () => openDirectoryStore(makeRoot(), { hardLinks: false }), { checksDigest: false });

const body = Buffer.from("body");
const sha256 = digestOf(body);

describe("a directory that is not there", () => {
  test("is unreachable, never made by a put, and made by create", async () => {
    const root = join(folder, "not", "mounted");
    const store = openDirectoryStore(root);
    await expect(store.put("coldkeep.json", body, { sha256 })).rejects.toMatchObject({
      fault: "unreachable",
      retryable: false,
      hint: expect.stringContaining("mount") as string,
    });
    expect(await faultOf(store.head("coldkeep.json"))).toBe("unreachable");
    expect(await faultOf(listAll(store, "hosts/"))).toBe("unreachable");
    expect(await faultOf(store.nowMs())).toBe("unreachable");
    expect(existsSync(root)).toBe(false);
    await store.create();
    await store.create();
    expect(await store.put("coldkeep.json", body, { sha256 })).toBe("created");
    expect(statSync(root).mode & 0o777).toBe(0o700);
    expect(statSync(join(root, "coldkeep.json")).mode & 0o777).toBe(0o600);
  });
});

describe("what others put into the directory", () => {
  test("symbolic links are never followed", async () => {
    const root = makeRoot();
    const outside = makeRoot();
    writeFileSync(join(outside, "secret"), "secret");
    mkdirSync(join(root, "hosts"));
    symlinkSync(outside, join(root, "hosts", "linked"));
    symlinkSync(join(outside, "secret"), join(root, "hosts", "file"));
    const store = openDirectoryStore(root);
    expect(await faultOf(store.get("hosts/linked/secret"))).toBe("misused");
    expect(await faultOf(store.get("hosts/file"))).toBe("misused");
    expect(await faultOf(store.head("hosts/file"))).toBe("misused");
    expect(await faultOf(store.put("hosts/linked/new", body, { sha256 }))).toBe("misused");
    expect(await faultOf(store.delete("hosts/linked/secret"))).toBe("misused");
    expect(await store.put("hosts/file", body, { sha256 })).toBe("exists");
    expect(await listAll(store, "")).toEqual([]);
    expect(readdirSync(outside)).toEqual(["secret"]);
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret");
  });

  test("FIFOs do not hold a read, folders are no objects, and other names are passed over", async () => {
    const root = makeRoot();
    execFileSync("mkfifo", [join(root, "fifo")]);
    mkdirSync(join(root, "folder"));
    writeFileSync(Buffer.concat([Buffer.from(`${root}/not-utf8-`), Buffer.from([0xff])]), "x");
    writeFileSync(join(root, ".coldkeep-tmp-0123"), "half");
    const store = openDirectoryStore(root);
    expect(await faultOf(store.get("fifo"))).toBe("misused");
    expect(await faultOf(store.get("folder"))).toBe("missing");
    expect(await store.head("folder")).toBeNull();
    await store.delete("folder");
    expect(await listAll(store, "")).toEqual([]);
  });
});

describe("temporary files", () => {
  test("none is left by puts that succeed, exist, or fail, and old ones are swept", async () => {
    const root = makeRoot();
    const store = openDirectoryStore(root);
    const old = join(root, ".coldkeep-tmp-old");
    const young = join(root, ".coldkeep-tmp-young");
    for (const path of [old, young]) writeFileSync(path, "half");
    utimesSync(old, 1_000, 1_000);
    await store.put("one", body, { sha256 });
    await store.put("one", body, { sha256 });
    await store.put("one", body, { sha256, overwrite: true });
    await expect(store.put("two", { path: join(root, "absent"), sizeBytes: 1 }, { sha256 })).rejects.toThrow();
    expect(readdirSync(root).sort()).toEqual([".coldkeep-tmp-young", "one"]);
  });
});
