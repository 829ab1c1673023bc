/**
 * age's own keys as text: recipients (public) and identities (secret). Only X25519 (`age1…`) and ML-KEM hybrid
 * (`age1pq1…`) ones are taken. An identity is never part of an error, nor is the library's own error about one,
 * which quotes it.
 */
import { ColdkeepError } from "../errors.ts";
import { sha256Hex } from "./digest.ts";

export type RecipientKind = "x25519" | "hybrid";

const BECH32 = "[02-9ac-hj-np-z]";
/** 32 bytes are 52 characters of bech32, 1,216 bytes are 1,946; six of checksum follow. */
const RECIPIENT_FORMS: readonly (readonly [RecipientKind, RegExp])[] = [
  ["x25519", new RegExp(`^age1${BECH32}{58}$`)],
  ["hybrid", new RegExp(`^age1pq1${BECH32}{1952}$`)],
];
const IDENTITY_FORM = new RegExp(`^AGE-SECRET-KEY-(?:PQ-)?1${BECH32.toUpperCase()}{58}$`);
const SECRET = /age-secret-key/i;
const OTHER_KIND = /^age1([a-z0-9]+)1/;
const FINGERPRINT_DIGITS = 16;
const SHOWN_CHARACTERS = 24;

function shorten(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}

/** The kind of a recipient, by its form alone (no checksum). Throws E_CONFIG for anything else. */
export function recipientKind(recipient: string): RecipientKind {
  if (SECRET.test(recipient)) {
    throw new ColdkeepError("E_CONFIG", "an age identity (a secret key) stands where a recipient belongs", {
      hint: "Put its public half there (`age-keygen -y FILE` prints it), and treat the identity as exposed if others can read this file.",
    });
  }
  for (const [kind, form] of RECIPIENT_FORMS) if (form.test(recipient)) return kind;
  const other = OTHER_KIND.exec(recipient)?.[1];
  if (other !== undefined && other !== "pq") {
    throw new ColdkeepError("E_CONFIG", `recipient "${shorten(recipient)}" is of the kind "${other}", which coldkeep does not take`, {
      hint: "Use an age1… or age1pq1… recipient, as `age-keygen` makes them: plugins would have to run on a bare machine.",
    });
  }
  throw new ColdkeepError("E_CONFIG", `"${shorten(recipient)}" is not an age recipient`, {
    hint: "A recipient looks like age1… (62 characters); `age-keygen -y FILE` prints the one of an identity.",
  });
}

/**
 * Checks recipients, all of one kind, and returns them without repetitions, in order. Throws E_CONFIG for an empty
 * list, a malformed or foreign recipient, mixed kinds, and a secret key in a recipient's place (never quoted).
 */
export async function parseRecipients(list: readonly string[]): Promise<string[]> {
  const recipients = [...new Set(list.map((text) => text.trim()))];
  if (recipients.length === 0) {
    throw new ColdkeepError("E_CONFIG", "no recipient is given", { hint: "Name at least one age1… recipient under `recipients:`." });
  }
  const kinds = new Set(recipients.map(recipientKind));
  if (kinds.size > 1) {
    throw new ColdkeepError("E_CONFIG", "recipients of both kinds, age1… and age1pq1…, are mixed", {
      hint: "Use one kind only: one X25519 recipient would undo the post-quantum protection of the others.",
    });
  }
  const { Encrypter } = await import("age-encryption");
  for (const recipient of recipients) {
    try {
      new Encrypter().addRecipient(recipient);
    } catch (cause) {
      throw new ColdkeepError("E_CONFIG", `recipient "${shorten(recipient)}" is mistyped: its checksum is wrong`, {
        hint: "Copy it again as a whole from where `age-keygen` printed it.",
        cause,
      });
    }
  }
  return recipients;
}

/** First 16 hex digits of the SHA-256 of the recipient's text. */
export function recipientFingerprint(recipient: string): string {
  return sha256Hex(recipient).slice(0, FINGERPRINT_DIGITS);
}

/** The error for an unusable identity; it must not tell more of it. */
export function malformedIdentity(): ColdkeepError {
  return new ColdkeepError("E_KIT", "an age identity is malformed", {
    hint: "An identity is one line AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…; take it again from the kit.",
  });
}

/** Whether the text has the form of an identity (no checksum). */
export function isIdentityForm(text: string): boolean {
  return IDENTITY_FORM.test(text);
}

/** Makes a new identity and its recipient, of the hybrid kind when `pq`. */
export async function newIdentity(kind: { pq: boolean }): Promise<{ identity: string; recipient: string }> {
  const age = await import("age-encryption");
  const identity = await (kind.pq ? age.generateHybridIdentity() : age.generateX25519Identity());
  return { identity, recipient: await age.identityToRecipient(identity) };
}

/** The recipient of an identity. Throws E_KIT when the identity is malformed. */
export async function recipientOf(identity: string): Promise<string> {
  if (!isIdentityForm(identity)) throw malformedIdentity();
  const { identityToRecipient } = await import("age-encryption");
  try {
    return await identityToRecipient(identity);
  } catch {
    throw malformedIdentity();
  }
}
