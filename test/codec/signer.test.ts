import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  formatPublicKey,
  formatSecretKey,
  newSigner,
  parsePublicKey,
  parseSecretKey,
  sign,
  signerFingerprint,
  signerFromPem,
  verifySignature,
} from "../../src/codec/signer.ts";

const isConfig: unknown = expect.objectContaining({ code: "E_CONFIG" });
const base64 = (hex: string): string => Buffer.from(hex, "hex").toString("base64");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "coldkeep-signer-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** RFC 8032 §7.1, TEST 1 to 3. */
const RFC_8032 = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
];

test.each(RFC_8032)("RFC 8032 vector of the message '$message'", ({ seed, publicKey, message, signature }) => {
  const signer = parseSecretKey(`ed25519-secret:${base64(seed)}`);
  expect(signer.publicKey).toBe(base64(publicKey));
  expect(sign(signer.privateKey, Buffer.from(message, "hex")).toString("hex")).toBe(signature);
  expect(verifySignature(base64(publicKey), Buffer.from(message, "hex"), Buffer.from(signature, "hex"))).toBe(true);
});

describe("with the openssl program", () => {
  const message = Buffer.from("coldkeep/v1/manifest\n{}");

  test("openssl verifies what a signer signed, and nothing else", () => {
    const signer = newSigner();
    const [pem, text, signature] = [join(folder, "public.pem"), join(folder, "message"), join(folder, "signature")];
    writeFileSync(pem, createPublicKey(signer.privatePem).export({ format: "pem", type: "spki" }));
    writeFileSync(text, message);
    writeFileSync(signature, sign(signer.privateKey, message));
    const verify = (): string =>
      execFileSync("openssl", ["pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", "-in", text, "-sigfile", signature], { encoding: "utf8" });
    expect(verify()).toContain("Verified Successfully");
    writeFileSync(text, "another message");
    expect(verify).toThrow();
  });

  test("a key made by openssl signs", () => {
    const pem = execFileSync("openssl", ["genpkey", "-algorithm", "ed25519"], { encoding: "utf8" });
    const signer = signerFromPem(pem);
    expect(verifySignature(signer.publicKey, message, sign(signer.privateKey, message))).toBe(true);
    expect(signer.privatePem).toBe(pem);
  });
});

describe("signatures", () => {
  const { privateKey, publicKey } = newSigner();
  const message = Buffer.from("message");
  const signature = sign(privateKey, message);

  test("hold for one key, one message and all their bits", () => {
    expect(verifySignature(publicKey, message, signature)).toBe(true);
    expect(verifySignature(newSigner().publicKey, message, signature)).toBe(false);
    expect(verifySignature(publicKey, Buffer.from("messagE"), signature)).toBe(false);
    for (let at = 0; at < signature.length; at++) {
      const flipped = Buffer.from(signature);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      expect(verifySignature(publicKey, message, flipped)).toBe(false);
    }
  });

  test("of a wrong length, or by a malformed key, are not valid and throw nothing", () => {
    expect(verifySignature(publicKey, message, signature.subarray(1))).toBe(false);
    expect(verifySignature(publicKey, message, Buffer.concat([signature, Buffer.of(0)]))).toBe(false);
    expect(verifySignature(publicKey.slice(4), message, signature)).toBe(false);
    expect(verifySignature("", message, signature)).toBe(false);
  });
});

describe("keys as text", () => {
  test("come back as they went", () => {
    const signer = newSigner();
    expect(parsePublicKey(formatPublicKey(signer.publicKey))).toBe(signer.publicKey);
    expect(parseSecretKey(formatSecretKey(signer.privateKey)).publicKey).toBe(signer.publicKey);
    expect(signerFromPem(signer.privatePem).publicKey).toBe(signer.publicKey);
  });

  test("only in their one canonical form", () => {
    const { publicKey } = newSigner();
    const text = formatPublicKey(publicKey);
    const urlSafe = `ed25519:${Buffer.alloc(32, 0xff).toString("base64url")}=`;
    const stray = `ed25519:${Buffer.alloc(32).toString("base64").replace("A=", "B=")}`;
    for (const wrong of [publicKey, `${text}=`, text.slice(0, -1), ` ${text}`, `${text}\n`, text.toUpperCase(), urlSafe, stray, "ed25519:", ""]) {
      expect(() => parsePublicKey(wrong), wrong).toThrow(isConfig);
    }
    expect(() => formatPublicKey("x")).toThrow(isConfig);
    expect(() => signerFingerprint("x")).toThrow(isConfig);
  });

  test("a secret is refused in the public key's place, and never quoted", () => {
    const secret = formatSecretKey(newSigner().privateKey);
    for (const attempt of [() => parsePublicKey(secret), () => parseSecretKey(`${secret}A`), () => signerFromPem(secret)]) {
      expect(attempt).toThrow(isConfig);
      expect(attempt).not.toThrow(secret.slice(20, 40));
    }
  });

  test("of another kind are no signers", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(() => signerFromPem(privateKey.export({ format: "pem", type: "pkcs8" }).toString())).toThrow(isConfig);
    expect(() => sign(privateKey, Buffer.alloc(1))).toThrow(isConfig);
  });

  test("fingerprint of the RFC's first public key", () => {
    const raw = Buffer.from(RFC_8032[0]?.publicKey ?? "", "hex");
    expect(signerFingerprint(raw.toString("base64"))).toBe(execFileSync("sha256sum", { input: raw, encoding: "utf8" }).slice(0, 16));
  });
});
