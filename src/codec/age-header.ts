/**
 * Headers of age v1 files (C2SP age.md), made and opened by `age-encryption`; the payload is ours (age-payload.ts).
 * The library costs 76 ms to import, so it is loaded on first use.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import type { Decrypter, Encrypter } from "age-encryption";
import { ColdkeepError, messageOf } from "../errors.ts";
import { KIB } from "../units.ts";
import { isIdentityForm, malformedIdentity, parseRecipients } from "./age-keys.ts";

const FILE_KEY_BYTES = 16;
const PAYLOAD_KEY_BYTES = 32;
const PAYLOAD_NONCE_BYTES = 16;
const HEADER_BYTES_MAX = 64 * KIB;

const VERSION_LINE = "age-encryption.org/v1";
const STANZA_LINE = /^->(?: [\x21-\x7e]+)+$/;
const BODY_LINE = /^[A-Za-z0-9+/]{0,64}$/;
const FULL_BODY_LINE_CHARACTERS = 64;
const MAC_LINE = /^--- [A-Za-z0-9+/]{43}$/;

/** A new object's head (age header with its MAC line, then the 16-byte payload nonce) and its 32-byte payload key. */
export type SealedHead = { head: Buffer; payloadKey: Buffer };

function malformed(what: string, cause?: unknown): ColdkeepError {
  return new ColdkeepError("E_FORMAT", `malformed age header: ${what}`, { cause });
}

function payloadKeyOf(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync("sha256", fileKey, nonce, "payload", PAYLOAD_KEY_BYTES));
}

/** Walks the lines of the header: its length in bytes without the nonce, and the types of its stanzas. Throws E_FORMAT. */
function scanHeader(prefix: Buffer): { headerLength: number; stanzaTypes: string[] } {
  const bounded = prefix.subarray(0, HEADER_BYTES_MAX);
  let at = 0;
  const nextLine = (): string => {
    const end = bounded.indexOf(0x0a, at);
    if (end === -1) throw malformed(`it does not end within ${bounded.length} bytes`);
    const line = bounded.toString("latin1", at, end);
    at = end + 1;
    return line;
  };
  if (nextLine() !== VERSION_LINE) throw malformed("it is not age-encryption.org/v1");
  const stanzaTypes: string[] = [];
  for (;;) {
    const line = nextLine();
    if (MAC_LINE.test(line)) break;
    if (!STANZA_LINE.test(line)) throw malformed("a line is neither a stanza nor the MAC");
    stanzaTypes.push(line.split(" ")[1] ?? "");
    let body: string;
    do {
      body = nextLine();
      if (!BODY_LINE.test(body)) throw malformed("the body of a stanza is not base64");
    } while (body.length === FULL_BODY_LINE_CHARACTERS);
  }
  if (stanzaTypes.length === 0) throw malformed("it has no stanza");
  return { headerLength: at, stanzaTypes };
}

/**
 * Length in bytes of the head (age header, MAC line and 16-byte payload nonce) that `prefix`, the first bytes of an
 * age file, begins with. Throws E_FORMAT when it is malformed, over 64 KiB, or does not end within `prefix`.
 */
export function headLength(prefix: Buffer): number {
  const { headerLength } = scanHeader(prefix);
  const length = headerLength + PAYLOAD_NONCE_BYTES;
  if (length > HEADER_BYTES_MAX) throw malformed("it is over 64 KiB");
  if (length > prefix.length) throw malformed("its payload nonce is missing");
  return length;
}

/** Makes heads for one fixed list of recipients. */
export class HeaderSealer {
  readonly #encrypter: Encrypter;
  #fileKey: Buffer | undefined;

  private constructor(encrypter: Encrypter) {
    this.#encrypter = encrypter;
    // First in the list, so that it is called before `encrypt` waits for anything: calls that overlap cannot mix keys.
    encrypter.addRecipient({
      wrapFileKey: (fileKey) => {
        this.#fileKey = Buffer.from(fileKey);
        return [];
      },
    });
  }

  /** Checks and keeps the recipients. Throws E_CONFIG as `parseRecipients` does. */
  static async create(recipients: readonly string[]): Promise<HeaderSealer> {
    const checked = await parseRecipients(recipients);
    const age = await import("age-encryption");
    const encrypter = new age.Encrypter();
    const sealer = new HeaderSealer(encrypter);
    for (const recipient of checked) encrypter.addRecipient(recipient);
    return sealer;
  }

  /** A head around a new random file key, which is kept nowhere. May be called again before it resolves. */
  async seal(): Promise<SealedHead> {
    this.#takeFileKey();
    const encrypting = this.#encrypter.encrypt(new Uint8Array(0));
    const fileKey = this.#takeFileKey();
    const sealed = await encrypting;
    if (fileKey === undefined) throw new ColdkeepError("E_INTERNAL", "age-encryption did not hand over the file key");
    const header = Buffer.from(sealed.buffer, sealed.byteOffset, scanHeader(Buffer.from(sealed)).headerLength);
    // The library's nonce already sealed an empty payload: a second payload under it would break Poly1305.
    const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
    const payloadKey = payloadKeyOf(fileKey, nonce);
    fileKey.fill(0);
    return { head: Buffer.concat([header, nonce]), payloadKey };
  }

  #takeFileKey(): Buffer | undefined {
    const fileKey = this.#fileKey;
    this.#fileKey = undefined;
    return fileKey;
  }
}

/** One head for the recipients; a caller that needs many keeps a `HeaderSealer`. Throws E_CONFIG. */
export async function sealHeader(recipients: readonly string[]): Promise<SealedHead> {
  return (await HeaderSealer.create(recipients)).seal();
}

/** Begins to load what opens heads, which takes as long as a few answers of a near store: for use while such are awaited. */
export function preloadAge(): void {
  // Whoever needs it is told.
  import("age-encryption").catch(() => undefined);
}

/** Opens heads with one fixed list of identities. */
export class HeaderOpener {
  readonly #identities: readonly string[];
  readonly #age: { Decrypter: new () => Decrypter };

  private constructor(identities: readonly string[], age: { Decrypter: new () => Decrypter }) {
    this.#identities = identities;
    this.#age = age;
  }

  /** Checks and keeps the identities. Throws E_KIT when one is malformed. */
  static async create(identities: readonly string[]): Promise<HeaderOpener> {
    const age = await import("age-encryption");
    const opener = new HeaderOpener([...identities], age);
    opener.#decrypter();
    return opener;
  }

  /**
   * The payload key of `head` (age header and payload nonce, nothing after them). Throws E_FORMAT when the head is
   * malformed or its MAC is wrong, E_IDENTITY when no identity matches.
   */
  async open(head: Buffer): Promise<Buffer> {
    const { headerLength, stanzaTypes } = scanHeader(head);
    if (head.length !== headerLength + PAYLOAD_NONCE_BYTES) throw malformed("no payload nonce of 16 bytes ends it");
    const decrypter = this.#decrypter();
    decrypter.addIdentity({
      // Last in the list: asked only when no other identity matched.
      unwrapFileKey: () => {
        throw new ColdkeepError("E_IDENTITY", `no identity matches (the file is encrypted to: ${describeStanzas(stanzaTypes)})`, {
          hint: "Use the kit whose identity belongs to one of the recipients of that time.",
        });
      },
    });
    const fileKey = await decryptHeader(decrypter, head.subarray(0, headerLength));
    if (fileKey.length !== FILE_KEY_BYTES) throw malformed(`a file key of ${fileKey.length} bytes`);
    const payloadKey = payloadKeyOf(fileKey, head.subarray(headerLength));
    fileKey.fill(0);
    return payloadKey;
  }

  #decrypter(): Decrypter {
    const decrypter = new this.#age.Decrypter();
    for (const identity of this.#identities) {
      if (!isIdentityForm(identity)) throw malformedIdentity();
      try {
        decrypter.addIdentity(identity);
      } catch {
        throw malformedIdentity();
      }
    }
    return decrypter;
  }
}

async function decryptHeader(decrypter: Decrypter, header: Buffer): Promise<Uint8Array> {
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    throw error instanceof ColdkeepError ? error : malformed(messageOf(error), error);
  }
}

/** `X25519 ×2, mlkem768x25519`; types come from the file, so that few of them are shown. */
function describeStanzas(types: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  const shown = [...counts].slice(0, 5).map(([type, count]) => type.slice(0, 40) + (count > 1 ? ` ×${count}` : ""));
  return shown.join(", ") + (counts.size > shown.length ? ", …" : "");
}

/** The payload key of one head; a caller that opens many keeps a `HeaderOpener`. Throws E_FORMAT, E_IDENTITY, E_KIT. */
export async function openHeader(head: Buffer, identities: readonly string[]): Promise<Buffer> {
  return (await HeaderOpener.create(identities)).open(head);
}
