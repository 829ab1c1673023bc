/**
 * zstd and ChaCha20-Poly1305 as Node's own binary carries them, called through `node:ffi` without the copies and contexts
 * that Node's interface makes for each call: decompressing takes half the time, a 64 KiB chunk of an age payload a third.
 * The only module of this layer that knows of `node:ffi`. Where a function is missing, Node's interface does the same work.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { constants as zlib, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { KIB } from "../units.ts";

/** Whole frames of zstd; both throw nothing and return -1 where it fails. */
export type ZstdEngine = {
  /** Compresses into `target` and returns the length; `target` must have room for `compressBound(source.length)`. */
  compress(source: Uint8Array, level: number, target: Uint8Array): number;
  /** Decompresses one frame into `target` and returns the length; fails where it does not fit. */
  decompress(source: Uint8Array, target: Uint8Array): number;
};

/** ChaCha20-Poly1305 (RFC 8439) with tags of 16 bytes behind the ciphertext. */
export type AeadEngine = {
  /** Encrypts `plain` into `target`, which is 16 bytes longer. */
  seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, target: Uint8Array): void;
  /** Decrypts `sealed` into `target`, which is 16 bytes shorter. False when the tag is wrong; `target` then holds nothing of use. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, target: Uint8Array): boolean;
};

/** The greatest window the format allows, 8 MiB; levels up to 19 never use more. */
const WINDOW_LOG_MAX = 23;
const TAG_BYTES = 16;

/** Bytes a frame of `length` bytes of content can have at the most (zstd.h, ZSTD_COMPRESSBOUND). */
export function compressBound(length: number): number {
  return length + (length >>> 8) + KIB;
}

/** Null where Node has no FFI, or does not export these functions. The contexts live as long as the thread. */
export function openNativeZstd(): ZstdEngine | null {
  try {
    const { functions } = process.getBuiltinModule("node:ffi").dlopen(null, {
      ZSTD_createCCtx: { return: "pointer", arguments: [] },
      ZSTD_createDCtx: { return: "pointer", arguments: [] },
      ZSTD_CCtx_setParameter: { return: "u64", arguments: ["pointer", "i32", "i32"] },
      ZSTD_compress2: { return: "u64", arguments: ["pointer", "pointer", "u64", "pointer", "u64"] },
      ZSTD_decompressDCtx: { return: "u64", arguments: ["pointer", "pointer", "u64", "pointer", "u64"] },
    });
    let compressor: bigint | undefined;
    let decompressor: bigint | undefined;
    let levelSet: number | undefined;
    // Errors are numbers far above any length.
    const lengthIn = (target: Uint8Array, result: bigint): number => (result > BigInt(target.length) ? -1 : Number(result));
    return {
      compress(source, level, target) {
        compressor ??= functions.ZSTD_createCCtx();
        if (levelSet !== level) functions.ZSTD_CCtx_setParameter(compressor, zlib.ZSTD_c_compressionLevel, level);
        levelSet = level;
        return lengthIn(target, functions.ZSTD_compress2(compressor, target, BigInt(target.length), source, BigInt(source.length)));
      },
      decompress(source, target) {
        decompressor ??= functions.ZSTD_createDCtx();
        return lengthIn(target, functions.ZSTD_decompressDCtx(decompressor, target, BigInt(target.length), source, BigInt(source.length)));
      },
    };
  } catch {
    return null;
  }
}

/** The same through Node's interface. */
export const nodeZstd: ZstdEngine = {
  compress(source, level, target) {
    const frame = zstdCompressSync(source, {
      pledgedSrcSize: source.length,
      chunkSize: Math.min(256 * KIB, source.length + KIB),
      params: { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_checksumFlag]: 0 },
    });
    target.set(frame);
    return frame.length;
  },
  decompress(source, target) {
    try {
      const content = zstdDecompressSync(source, {
        // One byte to spare, or Node would allocate a second buffer when the first is exactly full.
        chunkSize: Math.max(64, target.length + 1),
        maxOutputLength: target.length + 1,
        params: { [zlib.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      });
      if (content.length > target.length) return -1;
      target.set(content);
      return content.length;
    } catch {
      return -1;
    }
  },
};

const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;

/** Null where Node has no FFI, or does not export OpenSSL. One context for each direction, for as long as the thread lives. */
export function openNativeAead(): AeadEngine | null {
  try {
    const pointers = ["pointer", "pointer", "pointer", "pointer", "pointer"] as const;
    const update = { return: "i32", arguments: ["pointer", "pointer", "pointer", "pointer", "i32"] } as const;
    const final = { return: "i32", arguments: ["pointer", "pointer", "pointer"] } as const;
    const { functions: evp } = process.getBuiltinModule("node:ffi").dlopen(null, {
      EVP_CIPHER_CTX_new: { return: "pointer", arguments: [] },
      EVP_chacha20_poly1305: { return: "pointer", arguments: [] },
      EVP_CIPHER_CTX_ctrl: { return: "i32", arguments: ["pointer", "i32", "i32", "pointer"] },
      EVP_EncryptInit_ex: { return: "i32", arguments: pointers },
      EVP_EncryptUpdate: update,
      EVP_EncryptFinal_ex: final,
      EVP_DecryptInit_ex: { return: "i32", arguments: pointers },
      EVP_DecryptUpdate: update,
      EVP_DecryptFinal_ex: final,
    });
    const cipher = evp.EVP_chacha20_poly1305();
    const [sealing, opening] = [evp.EVP_CIPHER_CTX_new(), evp.EVP_CIPHER_CTX_new()];
    if (!evp.EVP_EncryptInit_ex(sealing, cipher, null, null, null) || !evp.EVP_DecryptInit_ex(opening, cipher, null, null, null)) return null;
    const length = Buffer.alloc(4);
    const check = (result: number): void => {
      if (result !== 1) throw new Error("ChaCha20-Poly1305 failed");
    };
    return {
      seal(key, nonce, plain, target) {
        check(evp.EVP_EncryptInit_ex(sealing, null, null, key, nonce));
        if (plain.length > 0) check(evp.EVP_EncryptUpdate(sealing, target, length, plain, plain.length));
        check(evp.EVP_EncryptFinal_ex(sealing, length, length));
        check(evp.EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, target.subarray(plain.length)));
      },
      open(key, nonce, sealed, target) {
        const end = sealed.length - TAG_BYTES;
        check(evp.EVP_DecryptInit_ex(opening, null, null, key, nonce));
        check(evp.EVP_CIPHER_CTX_ctrl(opening, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, sealed.subarray(end)));
        if (end > 0) check(evp.EVP_DecryptUpdate(opening, target, length, sealed, end));
        return evp.EVP_DecryptFinal_ex(opening, length, length) === 1;
      },
    };
  } catch {
    return null;
  }
}

const ALGORITHM = "chacha20-poly1305";
const OPTIONS = { authTagLength: TAG_BYTES } as const;

/** The same through Node's interface. */
export const nodeAead: AeadEngine = {
  seal(key, nonce, plain, target) {
    const cipher = createCipheriv(ALGORITHM, key, nonce, OPTIONS);
    target.set(cipher.update(plain));
    cipher.final();
    target.set(cipher.getAuthTag(), plain.length);
  },
  open(key, nonce, sealed, target) {
    const end = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv(ALGORITHM, key, nonce, OPTIONS);
    decipher.setAuthTag(sealed.subarray(end));
    target.set(decipher.update(sealed.subarray(0, end)));
    try {
      decipher.final();
      return true;
    } catch {
      return false;
    }
  },
};

/** What this thread uses. */
export const zstdEngine: ZstdEngine = openNativeZstd() ?? nodeZstd;
export const aeadEngine: AeadEngine = openNativeAead() ?? nodeAead;
