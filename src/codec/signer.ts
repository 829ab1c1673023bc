/**
 * Ed25519 signers (RFC 8032). Public halves are written `ed25519:` and the base64 of their 32 bytes, secret ones
 * `ed25519-secret:` and the base64 of the 32-byte seed. No error quotes a secret.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign as signBytes, verify } from "node:crypto";
import { ColdkeepError } from "../errors.ts";
import { signedMessage, type SignedType } from "../format/signed-text.ts";
import { sha256Hex } from "./digest.ts";

const PUBLIC_PREFIX = "ed25519:";
const SECRET_PREFIX = "ed25519-secret:";
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const FINGERPRINT_DIGITS = 16;
/** Enough to tell what stands there; a misplaced secret shows only what kind it is. */
const SHOWN_CHARACTERS = 14;

/** DER around the 32 raw bytes (RFC 8410): SubjectPublicKeyInfo and PKCS #8. */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** 32 bytes from canonical base64 with padding, or undefined. */
function keyBytes(base64: string): Buffer | undefined {
  const bytes = Buffer.from(base64, "base64");
  // Node skips what it does not know; only the exact text the bytes give is accepted.
  return bytes.length === KEY_BYTES && bytes.toString("base64") === base64 ? bytes : undefined;
}

function privateFromSeed(seed: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
}

/** The 32 bytes of the public half of a private or public Ed25519 key. Throws E_CONFIG for another kind of key. */
function rawPublic(key: KeyObject): Buffer {
  requireEd25519(key);
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ format: "der", type: "spki" }).subarray(SPKI_PREFIX.length);
}

function requireEd25519(key: KeyObject): void {
  if (key.asymmetricKeyType !== "ed25519") {
    throw new ColdkeepError("E_CONFIG", `a key of the kind "${key.asymmetricKeyType ?? key.type}" stands where an Ed25519 signer belongs`);
  }
}

/** A signer: its private key, also as PKCS #8 PEM for a key file, and base64 of the 32 bytes of its public half. */
export type Signer = { privateKey: KeyObject; privatePem: string; publicKey: string };

function signerOf(privateKey: KeyObject): Signer {
  return {
    privateKey,
    privatePem: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    publicKey: rawPublic(privateKey).toString("base64"),
  };
}

/** Makes a new signer. */
export function newSigner(): Signer {
  return signerOf(privateFromSeed(randomBytes(KEY_BYTES)));
}

/** Reads a signer from the PEM of its key file. Throws E_CONFIG. */
export function signerFromPem(privatePem: string): Signer {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey({ key: privatePem, format: "pem" });
  } catch {
    throw new ColdkeepError("E_CONFIG", "a signer's key file is malformed", {
      hint: "It is a PEM file with one unencrypted Ed25519 private key, as `coldkeep init` writes it.",
    });
  }
  requireEd25519(privateKey);
  return signerOf(privateKey);
}

/** The 64-byte signature of `message`. */
export function sign(privateKey: KeyObject, message: Uint8Array): Buffer {
  requireEd25519(privateKey);
  return signBytes(null, message, privateKey);
}

/** Line 1, the line of its signature, and what follows: an object as it is stored (format §4). */
export function signedObject(privateKey: KeyObject, type: SignedType, line: Uint8Array, rest: Uint8Array = Buffer.alloc(0)): Buffer {
  const signature = sign(privateKey, signedMessage(type, line)).toString("base64");
  return Buffer.concat([line, Buffer.from(`\n${signature}\n`), rest]);
}

/** The last key used: hundreds of manifests of one host are checked in a row. */
let lastKey: { publicKey: string; key: KeyObject } | undefined;

function keyObject(publicKey: string): KeyObject | undefined {
  if (lastKey?.publicKey === publicKey) return lastKey.key;
  const bytes = keyBytes(publicKey);
  if (bytes === undefined) return undefined;
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: "der", type: "spki" });
  lastKey = { publicKey, key };
  return key;
}

/** Whether `signature` is the one of `message` by the public key (base64 of 32 bytes). Malformed ones are just false. */
export function verifySignature(publicKey: string, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const key = keyObject(publicKey);
  return key !== undefined && verify(null, message, key, signature);
}

/** `ed25519:<base64>` of a public key (base64 of 32 bytes). Throws E_CONFIG when it is malformed. */
export function formatPublicKey(publicKey: string): string {
  if (keyBytes(publicKey) === undefined) throw malformedPublic(publicKey);
  return PUBLIC_PREFIX + publicKey;
}

/** The public key (base64 of 32 bytes) in `ed25519:<base64>`. Throws E_CONFIG when it is anything else. */
export function parsePublicKey(text: string): string {
  if (text.startsWith(SECRET_PREFIX) || text.includes("PRIVATE KEY")) {
    throw new ColdkeepError("E_CONFIG", "a signer's secret key stands where its public key belongs", {
      hint: `Put the public half there; it starts with ${PUBLIC_PREFIX}.`,
    });
  }
  const publicKey = text.startsWith(PUBLIC_PREFIX) ? text.slice(PUBLIC_PREFIX.length) : "";
  if (keyBytes(publicKey) === undefined) throw malformedPublic(text);
  return publicKey;
}

function malformedPublic(text: string): ColdkeepError {
  return new ColdkeepError("E_CONFIG", `"${text.slice(0, SHOWN_CHARACTERS)}…" is not a signer's public key`, {
    hint: `It is written ${PUBLIC_PREFIX} and 44 characters of base64; the kit has it in a \`# signer:\` line.`,
  });
}

/** `ed25519-secret:<base64>` of the 32-byte seed of a private key. */
export function formatSecretKey(privateKey: KeyObject): string {
  requireEd25519(privateKey);
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  return SECRET_PREFIX + der.subarray(PKCS8_PREFIX.length, PKCS8_PREFIX.length + KEY_BYTES).toString("base64");
}

/** The signer in `ed25519-secret:<base64>`. Throws E_CONFIG, without quoting the text, when it is anything else. */
export function parseSecretKey(text: string): Signer {
  const seed = text.startsWith(SECRET_PREFIX) ? keyBytes(text.slice(SECRET_PREFIX.length)) : undefined;
  if (seed === undefined) {
    throw new ColdkeepError("E_CONFIG", "a signer's secret key is malformed", {
      hint: `It is written ${SECRET_PREFIX} and 44 characters of base64.`,
    });
  }
  return signerOf(privateFromSeed(seed));
}

/** First 16 hex digits of the SHA-256 of the 32 bytes of a public key (base64). Throws E_CONFIG when it is malformed. */
export function signerFingerprint(publicKey: string): string {
  const bytes = keyBytes(publicKey);
  if (bytes === undefined) throw malformedPublic(publicKey);
  return sha256Hex(bytes).slice(0, FINGERPRINT_DIGITS);
}
