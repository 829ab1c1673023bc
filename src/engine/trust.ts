/** Whose signatures count: pinned by role and host in the kit, the configuration or on the command line (format §4). */
import { formatPublicKey, parsePublicKey, signerFingerprint, verifySignature } from "../codec/signer.ts";
import { ColdkeepError } from "../errors.ts";
import type { PinnedSigner } from "../format/kit.ts";
import { MANIFEST_HEADER_BYTES_MAX, parseManifestHeader, type ManifestHeader } from "../format/manifest.ts";
import { signedMessage, splitSigned, type SignedLines } from "../format/signed-text.ts";

/** What a reader pins: the vault, and the signers of its hosts. */
export type Trust = { vault: string; signers: PinnedSigner[] };

/** First 16 hex digits of the SHA-256 of a signer's key, `ed25519:…`: for people to compare. Throws E_CONFIG. */
export function fingerprintOf(key: string): string {
  return signerFingerprint(parsePublicKey(key));
}

export function pinnedHosts(trust: Trust): string[] {
  return [...new Set(trust.signers.flatMap((signer) => (signer.role === "host" ? [signer.host] : [])))];
}

function hostKeys(trust: Trust, host: string): string[] {
  return trust.signers.flatMap((signer) => (signer.role === "host" && signer.host === host ? [parsePublicKey(signer.key)] : []));
}

/** A manifest nobody may rely on. */
export class ManifestFault extends ColdkeepError {
  readonly isUnknownSigner: boolean;

  static {
    this.prototype.name = "ManifestFault";
  }

  constructor(message: string, isUnknownSigner: boolean, hint?: string) {
    super(isUnknownSigner ? "E_SIGNER" : "E_FORMAT", message, { hint });
    this.isUnknownSigner = isUnknownSigner;
  }
}

/** Signed by a pinned signer, and after the last manifest that the operator calls its good one. */
export class RevokedFault extends ManifestFault {
  static {
    this.prototype.name = "RevokedFault";
  }

  constructor(what: string, signer: string) {
    super(`${what} is void: it is signed by the revoked signer ${fingerprintOf(signer)}, and the last good archive does not follow it`, false, "It is passed over. Where it is good after all, its files can be got at with age, zstd and tar: RECOVERY.md.");
  }
}

/** `signer` is the pinned key that made the signature, `ed25519:…`. */
export type VerifiedHead = SignedLines & { header: ManifestHeader; signer: string };

/**
 * Checks the first two lines of a manifest or checkpoint against the key it was read from and the pinned signers.
 * Throws ManifestFault.
 */
export function verifyHead(bytes: Buffer, expected: { type: "manifest" | "checkpoint"; host: string; id: string }, trust: Trust): VerifiedHead {
  const what = `${expected.type} ${expected.id} of ${expected.host}`;
  let lines: SignedLines;
  let header: ManifestHeader;
  try {
    lines = splitSigned(bytes, MANIFEST_HEADER_BYTES_MAX, what);
    header = parseManifestHeader(lines.line, what);
  } catch (error) {
    throw new ManifestFault(error instanceof Error ? error.message : String(error), false);
  }
  const message = signedMessage(expected.type, lines.line);
  const key = hostKeys(trust, expected.host).find((each) => verifySignature(each, message, lines.signature));
  if (key === undefined) throw unknownSigner(header, lines, message, what);
  const fits = header.type === expected.type && header.host === expected.host && header.id === expected.id && header.vault === trust.vault;
  if (!fits) throw new ManifestFault(`${what} says it is ${header.type} ${header.id} of ${header.host} in vault ${header.vault}`, false);
  return { ...lines, header, signer: formatPublicKey(key) };
}

/** A key that signed properly but is not pinned, or a signature that fits no key at all. */
function unknownSigner(header: ManifestHeader, lines: SignedLines, message: Buffer, what: string): ManifestFault {
  let fingerprint = "";
  try {
    const key = parsePublicKey(header.signer);
    if (verifySignature(key, message, lines.signature)) fingerprint = signerFingerprint(key);
  } catch {
    // The header names no usable key: nobody's signature.
  }
  if (fingerprint === "") return new ManifestFault(`the signature of ${what} is wrong`, false);
  return new ManifestFault(`${what} is signed by an unknown signer, ${fingerprint}`, true, "If that host was set up anew, add its signer line to the kit or the configuration; if not, somebody else wrote it.");
}
