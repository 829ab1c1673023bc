import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findIdentities } from "../../src/config/identity-leak.ts";
import { createHostKeys, hasHostKeys, hostKeysDir, readHostKeys } from "../../src/config/keys.ts";

let folder = "";
let keysDir = "";
let machineId = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coldkeep-keys-"));
  keysDir = hostKeysDir(join(folder, "etc"));
  machineId = join(folder, "machine-id");
  writeFileSync(machineId, "aaaa\n");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAA\n-----END PRIVATE KEY-----\n";
const NEW = { catalogIdentity: `AGE-SECRET-KEY-1${"Q".repeat(58)}`, signerPem: PEM, random: "0123456789abcdef".repeat(2) };

describe("the host's keys", () => {
  test("are made once, for the owner alone, and read back", () => {
    const made = createHostKeys(keysDir, NEW, machineId);
    expect(made).toMatchObject({ catalogIdentity: NEW.catalogIdentity, signerPem: PEM });
    expect(made.writer).toMatch(/^[0-9a-f]{32}$/);
    expect(readHostKeys(keysDir, machineId)).toEqual(made);
    expect(statSync(keysDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(keysDir).toSorted()).toEqual(["catalog.key", "signer.key", "writer"]);
    for (const name of readdirSync(keysDir)) expect(statSync(join(keysDir, name)).mode & 0o777, name).toBe(0o600);
  });

  test("are never overwritten, and a half-made set is completed", () => {
    const made = createHostKeys(keysDir, NEW, machineId);
    const other = { ...NEW, catalogIdentity: `AGE-SECRET-KEY-1${"P".repeat(58)}`, random: "f".repeat(32) };
    expect(createHostKeys(keysDir, other, machineId)).toEqual(made);
    rmSync(join(keysDir, "writer"));
    expect(hasHostKeys(keysDir)).toBe(false);
    expect(() => readHostKeys(keysDir, machineId)).toThrow(expect.objectContaining({ code: "E_CONFIG" }));
    const completed = createHostKeys(keysDir, other, machineId);
    expect(completed.catalogIdentity).toBe(NEW.catalogIdentity);
    expect(readFileSync(join(keysDir, "writer"), "utf8")).toBe(`${other.random}\n`);
    expect(hasHostKeys(keysDir)).toBe(true);
  });

  test("make another writer on another machine", () => {
    const { writer } = createHostKeys(keysDir, NEW, machineId);
    writeFileSync(machineId, "bbbb\n");
    expect(readHostKeys(keysDir, machineId).writer).not.toBe(writer);
    expect(readHostKeys(keysDir, join(folder, "absent")).writer).toMatch(/^[0-9a-f]{32}$/);
  });

  test("are refused when others could read or had placed them", () => {
    createHostKeys(keysDir, NEW, machineId);
    const signer = join(keysDir, "signer.key");
    const refuses = (hint: RegExp): void => {
      expect(() => readHostKeys(keysDir, machineId)).toThrow(expect.objectContaining({ code: "E_REFUSED", hint: expect.stringMatching(hint) }));
    };
    chmodSync(signer, 0o640);
    refuses(/chmod 600/);
    chmodSync(signer, 0o600);
    chmodSync(keysDir, 0o701);
    refuses(/chmod 700/);
    chmodSync(keysDir, 0o700);
    renameSync(signer, join(folder, "moved"));
    symlinkSync(join(folder, "moved"), signer);
    refuses(/file itself/);
  });

  test.runIf(process.geteuid?.() === 0)("are refused when they belong to another user", () => {
    createHostKeys(keysDir, NEW, machineId);
    chownSync(join(keysDir, "writer"), 65_534, 65_534);
    expect(() => readHostKeys(keysDir, machineId)).toThrow(/another user/);
  });

  test("that are damaged or missing are told apart from none", () => {
    expect(() => readHostKeys(keysDir, machineId)).toThrow(/coldkeep|there is no/);
    createHostKeys(keysDir, NEW, machineId);
    writeFileSync(join(keysDir, "catalog.key"), "");
    expect(() => readHostKeys(keysDir, machineId)).toThrow(/catalog\.key is damaged/);
  });
});

describe("identities in the wrong place", () => {
  const places = () => ({ configText: "", configPath: "/c.yaml", env: {}, keysDir, stateDir: join(folder, "state") });

  test("are found in text, environment, keys and state, wherever in a line, and behind a link", () => {
    createHostKeys(keysDir, NEW, machineId);
    mkdirSync(join(folder, "state", "deep"), { recursive: true });
    const identity = (letter: string): string => `AGE-SECRET-KEY-1${letter.repeat(58)}`;
    writeFileSync(join(folder, "kit.txt"), `# kit\n${identity("A")}\n`);
    symlinkSync(join(folder, "kit.txt"), join(folder, "state", "link"));
    writeFileSync(join(folder, "state", "deep", "kit"), identity("Z"));
    writeFileSync(join(keysDir, "old"), `x${identity("C").toLowerCase()}x ${identity("C")}`);
    const found = findIdentities({
      ...places(),
      configText: `# ${identity("D")}`,
      env: { A: `pre:${identity("E")}`, B: undefined, C: `AGE-SECRET-KEY-PQ-1${"F".repeat(58)}` },
    });
    expect(found.map(({ where, identity: text }) => [where, text]).toSorted()).toEqual(
      [
        ["/c.yaml", identity("D")],
        ["the environment variable A", identity("E")],
        ["the environment variable C", `AGE-SECRET-KEY-PQ-1${"F".repeat(58)}`],
        [join(keysDir, "catalog.key"), NEW.catalogIdentity],
        [join(keysDir, "old"), identity("C")],
        [join(folder, "state", "link"), identity("A")],
      ].toSorted(),
    );
  });

  test("missing folders hold none", () => {
    expect(existsSync(keysDir)).toBe(false);
    expect(findIdentities(places())).toEqual([]);
  });
});
