/** What a run archives beside files, without any server: SQLite, output of programs, and the hooks around it. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { readDataFacts } from "../../src/format/data-facts.ts";
import { loadDatabase } from "../../src/machine/databases/load.ts";
import { planDatabase } from "../../src/machine/databases/plan.ts";
import { setUpHost } from "../support/host.ts";
import { tempDir } from "../support/program.ts";
import { restore } from "../support/restore.ts";

describe("SQLite", () => {
  test.each(["wal", "delete"])("in mode %s: a copy of one moment while somebody writes, instead of the file, put back with owner and mode", async (mode) => {
    const host = await setUpHost();
    const path = join(host.source, "app data.db");
    const writer = new DatabaseSync(path, { timeout: 2000 });
    writer.exec(`PRAGMA journal_mode = ${mode}; CREATE TABLE a (n int); CREATE TABLE b (n int);`);
    chmodSync(path, 0o640);
    if (process.geteuid?.() === 0) chownSync(path, 33, 33);
    host.editConfig((text) => `${text}\ndatabases:\n  - {type: sqlite, name: apps, path: "${host.source}/*.db"}\n`);
    let written = 0;
    const writing = setInterval(() => {
      writer.exec(`BEGIN; INSERT INTO a VALUES (${written}); INSERT INTO b VALUES (${written}); COMMIT`);
      written++;
    }, 2);
    const { status, document } = await host.backup();
    clearInterval(writing);
    expect({ status, problems: document.problems }).toEqual({ status: 0, problems: [] });
    expect(written).toBeGreaterThan(20);
    const { out } = await restore(host);
    expect(existsSync(join(out, path))).toBe(false);
    const root = out;
    const copy = join(root, document.dumps[0]?.path ?? "");
    const database = new DatabaseSync(copy);
    const row = database.prepare("SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM b) AS b").get();
    database.close();
    expect(row?.["a"]).toBe(row?.["b"]);
    writer.close();
    const signal = AbortSignal.timeout(30_000);
    const source = await planDatabase({ type: "sqlite", name: "apps", path, onError: "partial", timeoutMs: 10_000, keepFiles: false }, tempDir(), signal);
    const parts: Buffer[] = [];
    const facts = await source.dumps[0]?.write(async (bytes) => void parts.push(Buffer.from(bytes)), signal);
    expect(facts?.rows).toEqual({ a: written, b: written });
    writeFileSync(copy, Buffer.concat(parts));
    const [fact] = readDataFacts([{ ...source.fact, dumps: [{ ...source.dumps[0], ...facts, bytes: 1 }] }]);
    if (fact === undefined) throw new Error("facts that cannot be read");
    const target = { socket: null, host: null, port: null, user: null, passwordFile: null, runAs: null };
    const into = tempDir();
    const order = { fact, root, target, replace: false, timeoutMs: 10_000, into, signal };
    expect(await loadDatabase(order)).toEqual({ loaded: [path], differences: [], remarks: [] });
    expect(statSync(join(into, path)).mode & 0o7777).toBe(0o640);
    if (process.geteuid?.() === 0) expect(statSync(join(into, path))).toMatchObject({ uid: 33, gid: 33 });
    await expect(loadDatabase(order)).rejects.toMatchObject({ code: "E_REFUSED" });
    writeFileSync(copy, Buffer.concat(parts).fill(0xff, 4096));
    await expect(loadDatabase({ ...order, replace: true })).rejects.toMatchObject({ code: "E_DISK" });
  });

  test("keepFiles archives the file too, and a path without a file is a problem", async () => {
    const host = await setUpHost();
    const path = join(host.source, "a.db");
    new DatabaseSync(path).exec("CREATE TABLE t (n int)");
    host.editConfig((text) => `${text}\ndatabases:\n  - {type: sqlite, path: ${path}, keepFiles: true}\n  - {type: sqlite, name: gone, path: /nowhere/x.db}\n`);
    const { status, document } = await host.backup();
    expect(status).toBe(3);
    expect(document.problems).toEqual([expect.objectContaining({ path: "/.coldkeep/databases/sqlite-gone", code: "E_NOT_FOUND" })]);
    expect(existsSync(join((await restore(host)).out, path))).toBe(true);
  });
});

describe("commands", () => {
  test("output of any length comes back byte for byte, changed spans alone are stored, and a failure leaves nothing of it", async () => {
    const host = await setUpHost();
    const script = `i=0; while [ $i -lt 400000 ]; do echo "line $i of a long output, the same each night"; i=$((i+1)); done`;
    const tail = join(host.dir, "tail");
    writeFileSync(tail, "first");
    const run = JSON.stringify(["sh", "-c", `${script}; cat ${tail}`]);
    host.editConfig((text) => `${text}\ncommands:\n  - {name: long, run: ${run}}\n  - {name: empty, run: ["true"]}\n  - {name: bad, run: [sh, -c, "head -c 3000000 /dev/zero; echo why >&2; exit 7"]}\n  - {name: slow, run: [sh, -c, "echo begun; sleep 100"], timeout: 1s}\n`);
    const first = await host.backup();
    expect(first.status).toBe(3);
    expect(first.document.problems.map(({ path }) => path).toSorted()).toEqual(["/.coldkeep/commands/bad", "/.coldkeep/commands/slow"]);
    expect(first.document.problems.find(({ path }) => path.endsWith("bad"))?.message).toMatch(/exit status 7: why/);
    const { out } = await restore(host, ["/.coldkeep"]);
    const text = readFileSync(join(out, ".coldkeep/commands/long"), "utf8");
    expect(text.length).toBeGreaterThan(17_000_000);
    expect(text.endsWith("line 399999 of a long output, the same each night\nfirst")).toBe(true);
    expect(createHash("sha256").update(text.slice(0, -5)).digest("hex")).toBe(createHash("sha256").update(Array.from({ length: 400_000 }, (_, i) => `line ${i} of a long output, the same each night\n`).join("")).digest("hex"));
    expect(statSync(join(out, ".coldkeep/commands/empty")).size).toBe(0);
    expect(existsSync(join(out, ".coldkeep/commands/bad"))).toBe(false);
    expect(existsSync(join(out, ".coldkeep/commands/slow"))).toBe(false);
    writeFileSync(tail, "second");
    const second = await host.backup();
    expect(second.document.bytesStored).toBeLessThan(first.document.bytesStored / 3);
    expect((await host.run(["verify", "--kit", host.movedKit, "--level", "content"])).status).toBe(0);
    expect((await host.run(["files", "--kit", host.movedKit, "/.coldkeep"])).stdout).toContain("/.coldkeep/commands/long");
  }, 60_000);

  test("--dry-run lists what would be dumped and runs nothing; onError: fail ends the run", async () => {
    const host = await setUpHost();
    const mark = join(host.dir, "ran");
    host.editConfig((text) => `${text}\ncommands:\n  - {name: mark, onError: fail, run: [sh, -c, "touch ${mark}; exit 1"]}\n`);
    const dry = await host.run(["backup", "--dry-run", "--config", host.config]);
    expect(dry.stdout + dry.stderr).toContain("/.coldkeep/commands/mark");
    expect(existsSync(mark)).toBe(false);
    const failed = await host.backup();
    expect(failed).toMatchObject({ status: 1, document: { error: { code: "E_DISK" } } });
    expect(host.objects("a", "archives")).toEqual([]);
    expect(existsSync(mark)).toBe(true);
  });
});

describe("hooks", () => {
  test("run in order, are told what became of the run, and end with all they started", async () => {
    const host = await setUpHost();
    const log = join(host.dir, "log");
    const say = (what: string): string => JSON.stringify(["sh", "-c", `echo "${what} $COLDKEEP_VERB $COLDKEEP_OUTCOME $COLDKEEP_ERROR_CODE $LC_ALL" >> ${log}`]);
    mkdirSync(join(host.source, "x"), { recursive: true });
    host.editConfig((text) => `${text}\nhooks:\n  - {before: backup, run: ${say("one")}}\n  - {before: backup, run: ${say("two")}}\n  - {after: backup, run: ${say("three")}}\n  - {after: error, run: ${say("four")}}\n  - {before: backup, onError: warn, run: ["false"]}\n`);
    const good = await host.backup();
    expect(good.status).toBe(0);
    expect(good.stderr).toMatch(/hook before backup \(false\) failed/);
    expect(readFileSync(log, "utf8")).toBe("one backup   C.UTF-8\ntwo backup   C.UTF-8\nthree backup done  C.UTF-8\n");
    writeFileSync(log, "");
    host.editConfig((text) => `${text}  - {before: backup, timeout: 1s, run: [sh, -c, "sleep 60 & wait"]}\n`);
    const startedAt = performance.now();
    const bad = await host.backup();
    expect(bad).toMatchObject({ status: 1, document: { error: { code: "E_DISK" } } });
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    expect(readFileSync(log, "utf8")).toBe("one backup   C.UTF-8\ntwo backup   C.UTF-8\nthree backup failed E_DISK C.UTF-8\nfour backup failed E_DISK C.UTF-8\n");
    expect(host.objects("a", "archives")).toHaveLength(1);
  });
});
