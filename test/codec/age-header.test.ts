import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Encrypter } from "age-encryption";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { headLength, HeaderOpener, HeaderSealer, openHeader, sealHeader } from "../../src/codec/age-header.ts";
import { newIdentity, parseRecipients, recipientFingerprint, recipientKind, recipientOf } from "../../src/codec/age-keys.ts";
import { ciphertextLength, openWhole, PayloadSealer } from "../../src/codec/age-payload.ts";
import { sha256Hex } from "../../src/codec/digest.ts";
import { ColdkeepError } from "../../src/errors.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "coldkeep-age-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An error of this code whose message holds the text. */
function errorWith(code: string, text: string): unknown {
  const message: unknown = expect.stringContaining(text);
  return expect.objectContaining({ code, message });
}

/** One byte pattern that repeats neither by chunk nor by page. */
function sample(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7) & 0xff;
  return bytes;
}

async function sealFile(recipients: string[], plain: Buffer): Promise<Buffer> {
  const { head, payloadKey } = await sealHeader(recipients);
  const target = Buffer.alloc(head.length + ciphertextLength(plain.length));
  const sealer = new PayloadSealer(head, payloadKey, target);
  sealer.push(plain);
  expect(sealer.finish()).toEqual({ length: target.length, sha256: sha256Hex(target) });
  return target;
}

async function openFile(file: Buffer, identities: string[]): Promise<Buffer> {
  const end = headLength(file);
  return openWhole(file.subarray(end), await openHeader(file.subarray(0, end), identities));
}

describe("with the age program", () => {
  const plain = sample(3 * 65536 + 17);

  test("age opens what coldkeep sealed to several recipients, with either identity", async () => {
    const keys = await Promise.all([newIdentity({ pq: false }), newIdentity({ pq: false })]);
    const path = join(folder, "ours.age");
    writeFileSync(path, await sealFile(keys.map((key) => key.recipient), plain));
    for (const [i, key] of keys.entries()) {
      const identityPath = join(folder, `identity${i}`);
      writeFileSync(identityPath, `${key.identity}\n`);
      expect(execFileSync("age", ["-d", "-i", identityPath, path], { maxBuffer: 2 ** 22 }).equals(plain)).toBe(true);
    }
  });

  test("coldkeep opens what age and age-keygen made", async () => {
    const identityPath = join(folder, "theirs.key");
    execFileSync("age-keygen", ["-o", identityPath], { stdio: "ignore" });
    const recipient = execFileSync("age-keygen", ["-y", identityPath], { encoding: "utf8" }).trim();
    const identity = execFileSync("grep", ["SECRET", identityPath], { encoding: "utf8" }).trim();
    expect(await recipientOf(identity)).toBe(recipient);
    for (const bytes of [plain, Buffer.alloc(0), sample(65536)]) {
      const file = execFileSync("age", ["-r", recipient], { input: bytes, maxBuffer: 2 ** 22 });
      expect((await openFile(file, [identity])).equals(bytes)).toBe(true);
    }
  });
});

describe("heads", () => {
  test.each([{ pq: false }, { pq: true }])("are opened by any of the recipients' identities (pq: $pq)", async (kind) => {
    const [a, b, stranger] = await Promise.all([newIdentity(kind), newIdentity(kind), newIdentity(kind)]);
    const file = await sealFile([a.recipient, b.recipient], Buffer.from("contents"));
    expect((await openFile(file, [stranger.identity, b.identity])).toString()).toBe("contents");
    expect((await openFile(file, [a.identity])).toString()).toBe("contents");
    const stanza = kind.pq ? "mlkem768x25519 ×2" : "X25519 ×2";
    await expect(openFile(file, [stranger.identity])).rejects.toEqual(errorWith("E_IDENTITY", stanza));
  });

  test("made at the same time by one sealer have their own keys", async () => {
    const key = await newIdentity({ pq: false });
    const sealer = await HeaderSealer.create([key.recipient]);
    const opener = await HeaderOpener.create([key.identity]);
    const heads = await Promise.all(Array.from({ length: 8 }, () => sealer.seal()));
    for (const { head, payloadKey } of heads) expect((await opener.open(head)).equals(payloadKey)).toBe(true);
    expect(new Set(heads.map(({ payloadKey }) => payloadKey.toString("hex"))).size).toBe(8);
  });

  test("carry a payload nonce of their own: the library's has already sealed its empty payload", async () => {
    const encrypt = vi.spyOn(Encrypter.prototype, "encrypt");
    const { head } = await sealHeader([(await newIdentity({ pq: false })).recipient]);
    const [made] = encrypt.mock.settledResults;
    encrypt.mockRestore();
    if (!(made?.value instanceof Uint8Array)) throw new Error("the library sealed nothing");
    const theirs = Buffer.from(made.value);
    expect(headLength(theirs)).toBe(head.length);
    expect(theirs.subarray(0, head.length - 16).equals(head.subarray(0, -16))).toBe(true);
    expect(theirs.subarray(head.length - 16, head.length).equals(head.subarray(-16))).toBe(false);
  });

  test("with any bit flipped do not open to the same payload key", async () => {
    const key = await newIdentity({ pq: false });
    const opener = await HeaderOpener.create([key.identity]);
    const { head, payloadKey } = await sealHeader([key.recipient]);
    for (let at = 0; at < head.length; at++) {
      const damaged = Buffer.from(head);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      const opened = await opener.open(damaged).catch((error: unknown) => error);
      if (Buffer.isBuffer(opened)) {
        expect(at).toBeGreaterThanOrEqual(head.length - 16);
        expect(opened.equals(payloadKey)).toBe(false);
      } else {
        expect(opened instanceof ColdkeepError && opened.code).toMatch(/^E_(FORMAT|IDENTITY)$/);
      }
    }
  });

  test("cut short, too long, or followed by other bytes are refused", async () => {
    const key = await newIdentity({ pq: false });
    const { head } = await sealHeader([key.recipient]);
    expect(headLength(Buffer.concat([head, Buffer.alloc(100)]))).toBe(head.length);
    for (const length of [0, 10, head.length - 17, head.length - 1]) {
      expect(() => headLength(head.subarray(0, length))).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
      await expect(openHeader(head.subarray(0, length), [key.identity])).rejects.toMatchObject({ code: "E_FORMAT" });
    }
    await expect(openHeader(Buffer.concat([head, Buffer.of(0)]), [key.identity])).rejects.toMatchObject({ code: "E_FORMAT" });
    const endless = Buffer.from(`age-encryption.org/v1\n-> X25519 a\n${`${"A".repeat(64)}\n`.repeat(2000)}`);
    expect(() => headLength(endless)).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
  });
});

describe("keys", () => {
  const X25519 = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

  test("recipients are taken when well-formed and of one kind, once each", async () => {
    const [a, b] = await Promise.all([newIdentity({ pq: true }), newIdentity({ pq: true })]);
    expect(await parseRecipients([a.recipient, ` ${b.recipient} `, a.recipient])).toEqual([a.recipient, b.recipient]);
    expect(recipientKind(a.recipient)).toBe("hybrid");
    expect(await parseRecipients([X25519])).toEqual([X25519]);
    await expect(parseRecipients([X25519, a.recipient])).rejects.toEqual(errorWith("E_CONFIG", "mixed"));
  });

  test.each([
    ["nothing", []],
    ["a typing error", [X25519.replace("7rx", "7xr")]],
    ["upper case", [X25519.toUpperCase()]],
    ["a cut text", [X25519.slice(0, -1)]],
    ["a plugin", ["age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"]],
    ["an SSH key", ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFoo"]],
  ])("%s is no recipient", async (_what, list) => {
    await expect(parseRecipients(list)).rejects.toMatchObject({ code: "E_CONFIG" });
  });

  test("a secret in the wrong place or mistyped is never quoted", async () => {
    const { identity } = await newIdentity({ pq: false });
    const secret = identity.slice(20, 40);
    const mistyped = `${identity.slice(0, -1)}${identity.endsWith("Q") ? "P" : "Q"}`;
    const errors = await Promise.all(
      [parseRecipients([identity]), parseRecipients([identity.toLowerCase()]), recipientOf(mistyped), HeaderOpener.create([mistyped])].map((refused) =>
        refused.then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    );
    expect(errors.map((error) => error instanceof Error && "code" in error && error.code)).toEqual(["E_CONFIG", "E_CONFIG", "E_KIT", "E_KIT"]);
    for (const error of errors) {
      const told = error instanceof Error ? `${error.message} ${error.stack} ${String(error.cause)} ${JSON.stringify(error)}` : "";
      expect(told.toUpperCase()).not.toContain(secret);
    }
  });

  test("fingerprints are the first 16 hex digits of the SHA-256 of the text", () => {
    expect(recipientFingerprint(X25519)).toBe(execFileSync("sha256sum", { input: X25519, encoding: "utf8" }).slice(0, 16));
  });
});
