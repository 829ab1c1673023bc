/**
 * The kit: the one text file a person keeps (format §10). It is a valid age identity file, because every line that is not
 * an identity is a comment; what the program needs stands in comments of a fixed form.
 */
import { ColdkeepError } from "../errors.ts";
import { isHostLabel } from "./object-key.ts";
import { VAULT_ID } from "./vault-marker.ts";

/** A public key a reader trusts for one role, written `ed25519:` and base64 (format §4). */
export type PinnedSigner = { role: "host"; host: string; key: string } | { role: "operator" | "drill"; key: string };

/** A `--signer` that is a bare key: the host signer of whatever host is asked for. */
export type BareSigner = { role: "host"; host: null; key: string };

export type KitRegion = { name: string; url: string };

/** Keys that read a region, for a kit that needs nothing beside it. */
export type KitCredentials = { region: string; accessKeyId: string; secretAccessKey: string };

export type Kit = {
  /** 32 hex digits. */
  vault: string;
  regions: KitRegion[];
  signers: PinnedSigner[];
  credentials: KitCredentials[];
  /** `ed25519-secret:` and base64 of the 32-byte seed of the operator's signer. */
  operatorKey?: string;
  /** Lower-case hex SHA-256 of the vault's `recover.sh`. */
  recoverSha256?: string;
  /** Lower-case hex SHA-256 of single executables that may be taken from a region and run. */
  programSha256?: string[];
  /** age identities, `AGE-SECRET-KEY-…`. None where the identity is kept elsewhere, or sealed. */
  identities: string[];
  /** Identities and the operator's key sealed with a passphrase: an armored age file. Whoever opens it gets a kit without it. */
  sealed?: KitSeal;
};

/** The sealed part of a kit, and what of it everybody may know. */
export type KitSeal = { armored: string; recipients: string[] };

/** What a passphrase seals: it is an age identity file too. */
export type KitSecrets = Pick<Kit, "identities" | "operatorKey">;

export type KitNotes = {
  /** When the kit was written, a UTC time. */
  createdAt: string;
  /** More lines for people, printed as comments; one line each. */
  notes?: readonly string[];
};

/** More bytes than any kit has; longer files are not read. */
export const KIT_BYTES_MAX = 1024 * 1024;

/** The name of a region in configuration and kit. */
export const REGION_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

const TITLE = "# coldkeep kit, version 1";
const FIELD = /^# (vault|region|signer|credentials|operator-key|recipient|recover\.sh|program): (.*)$/;
const NEARLY_FIELD = /^#\s*(vault|region|signer|credentials|operator-key|recipient|recover\.sh|program)\s*:/i;
const SEAL_BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----";
const SEAL_END = "-----END AGE ENCRYPTED FILE-----";
/** What stands between the two, behind `# `: base64 in lines of 64 characters. */
const SEAL_LINE = /^# ([A-Za-z0-9+/]{1,64}={0,2})$/;
const DIGEST = /^sha256 ([0-9a-f]{64})$/;

/** Base64 of exactly 32 bytes; the last character may not carry bits that decoding drops. */
const BASE64_32 = "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=";
const PUBLIC_KEY = new RegExp(`^ed25519:${BASE64_32}$`);
const OPERATOR_KEY = new RegExp(`^ed25519-secret:${BASE64_32}$`);
/** A recipient; its checksum is the age library's to check. */
const RECIPIENT = /^age1[02-9ac-hj-np-z]{58,2000}$/;
/** Bech32 of an X25519 or a post-quantum identity; its checksum is the age library's to check. */
const IDENTITY = /^AGE-SECRET-KEY-(?:PQ-)?1[AC-HJ-NP-Z02-9]{58}$/;

/** Whether `text` is a signer's public key, `ed25519:` and base64 of 32 bytes. */
export function isSignerKey(text: string): boolean {
  return PUBLIC_KEY.test(text);
}

/** `host web1 ed25519:…`, `operator ed25519:…`: a signer in a kit, in the configuration and on the command line. */
export function signerLine(signer: PinnedSigner): string {
  return signer.role === "host" ? `host ${signer.host} ${signer.key}` : `${signer.role} ${signer.key}`;
}

/** The signer of a `signerLine`. Throws E_USAGE for any other text. */
export function parseSignerLine(text: string): PinnedSigner {
  const words = text.trim().split(/[ \t]+/);
  const [role = "", second = "", third = ""] = words;
  if (role === "host" && words.length === 3) {
    if (!isHostLabel(second)) throw notSigner(`"${second}" is not a host label`);
    requireKey(third);
    return { role, host: second, key: third };
  }
  if ((role === "operator" || role === "drill") && words.length === 2) {
    requireKey(second);
    return { role, key: second };
  }
  throw notSigner(`"${text.trim()}" is not a signer`);
}

/** The signer of a `--signer` argument: a `signerLine` or a bare key. Throws E_USAGE. */
export function parseSignerArgument(text: string): PinnedSigner | BareSigner {
  const key = text.trim();
  return isSignerKey(key) ? { role: "host", host: null, key } : parseSignerLine(text);
}

function requireKey(key: string): void {
  if (!isSignerKey(key)) throw notSigner(`"${key}" is not an Ed25519 public key`);
}

function notSigner(message: string): ColdkeepError {
  return new ColdkeepError("E_USAGE", message, {
    hint: "A signer is `host LABEL ed25519:BASE64` or `operator ed25519:BASE64`, with the 44 characters of a 32-byte key.",
  });
}

/** Reads a kit. Throws E_KIT naming the line; the message never repeats a secret. */
export function parseKit(text: string): Kit {
  const lines = text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  checkTitle(lines[0] ?? "");
  const reader = new KitReader();
  for (const [index, line] of lines.entries()) reader.take(line, index + 1);
  return reader.finish();
}

function checkTitle(first: string): void {
  if (first === TITLE) return;
  const version = /^# coldkeep kit, version (\d+)$/.exec(first)?.[1];
  if (version !== undefined) {
    throw new ColdkeepError("E_KIT", `the kit has version ${version}; this program reads version 1`, { hint: "Use a coldkeep release that reads it." });
  }
  if (first.startsWith("age-encryption.org/") || first.startsWith("-----BEGIN AGE ENCRYPTED FILE")) {
    throw new ColdkeepError("E_KIT", "the kit is encrypted", { hint: "Decrypt it first: age -d -o kit.txt THE-FILE." });
  }
  throw new ColdkeepError("E_KIT", `line 1 of the kit is not "${TITLE}"`, {
    hint: "Give the file that `coldkeep init` wrote, whole and with its first line.",
  });
}

/** Collects a kit line by line, so that every complaint can name its line. */
class KitReader {
  readonly #kit: Omit<Kit, "vault"> = { regions: [], signers: [], credentials: [], identities: [] };
  #vault: string | undefined;
  readonly #recipients: string[] = [];
  /** Lines of the sealed part, complete once its last line was read. */
  readonly #sealed: string[] = [];

  take(line: string, number: number): void {
    if (this.#isInSeal || line === `# ${SEAL_BEGIN}`) return this.#takeSealed(line, number);
    const field = FIELD.exec(line);
    if (field) return this.#takeField(field[1] ?? "", (field[2] ?? "").trim(), number);
    if (NEARLY_FIELD.test(line)) throw wrong(number, "is nearly a field, but not written `# name: value`", "Write it like the other lines, or reword the comment.");
    if (line.trim() === "" || line.startsWith("#")) return;
    if (!IDENTITY.test(line)) throw wrong(number, "is neither a comment nor an age identity", "An identity is one line, AGE-SECRET-KEY-1 and 58 capitals and digits.");
    if (!this.#kit.identities.includes(line)) this.#kit.identities.push(line);
  }

  get #isInSeal(): boolean {
    return this.#sealed.length > 0 && this.#sealed.at(-1) !== SEAL_END;
  }

  #takeSealed(line: string, number: number): void {
    if (this.#sealed.length === 0) return void this.#sealed.push(SEAL_BEGIN);
    if (!this.#isInSeal) throw wrong(number, "begins a second sealed part", "One kit has one, for all of its identities.");
    const text = line === `# ${SEAL_END}` ? SEAL_END : SEAL_LINE.exec(line)?.[1];
    if (text === undefined) throw wrong(number, "is not a line of the sealed part", "Take the kit again, whole, from where it is kept.");
    this.#sealed.push(text);
  }

  #takeRecipient(value: string, number: number): void {
    if (!RECIPIENT.test(value)) throw wrong(number, "is not an age recipient");
    if (!this.#recipients.includes(value)) this.#recipients.push(value);
  }

  #takeField(name: string, value: string, number: number): void {
    if (name === "vault") this.#takeVault(value, number);
    else if (name === "region") this.#takeRegion(value, number);
    else if (name === "signer") this.#takeSigner(value, number);
    else if (name === "credentials") this.#takeCredentials(value, number);
    else if (name === "operator-key") this.#takeOperatorKey(value, number);
    else if (name === "recipient") this.#takeRecipient(value, number);
    else if (name === "program") this.#takeProgram(value, number);
    else this.#takeRecover(value, number);
  }

  #takeVault(value: string, number: number): void {
    if (!VAULT_ID.test(value)) throw wrong(number, "is not a vault id of 32 hex digits");
    if (this.#vault !== undefined && this.#vault !== value) throw wrong(number, "names a second vault", "One kit is for one vault.");
    this.#vault = value;
  }

  #takeRegion(value: string, number: number): void {
    const [name = "", url = "", ...rest] = value.split(/[ \t]+/);
    if (!REGION_NAME.test(name) || url === "" || rest.length > 0) throw wrong(number, "is not a region's name and URL");
    if (this.#kit.regions.some((region) => region.name === name)) throw wrong(number, `names the region "${name}" a second time`);
    this.#kit.regions.push({ name, url });
  }

  #takeSigner(value: string, number: number): void {
    const signer = this.#parseSigner(value, number);
    const line = signerLine(signer);
    if (!this.#kit.signers.some((known) => signerLine(known) === line)) this.#kit.signers.push(signer);
  }

  #takeCredentials(value: string, number: number): void {
    const [region = "", accessKeyId = "", secretAccessKey = "", ...rest] = value.split(/[ \t]+/);
    if (!REGION_NAME.test(region) || secretAccessKey === "" || rest.length > 0) throw wrong(number, "is not a region's name, an access key's id and its secret");
    if (this.#kit.credentials.some((known) => known.region === region)) throw wrong(number, `holds credentials of the region "${region}" a second time`);
    this.#kit.credentials.push({ region, accessKeyId, secretAccessKey });
  }

  #parseSigner(value: string, number: number): PinnedSigner {
    try {
      return parseSignerLine(value);
    } catch (cause) {
      if (!(cause instanceof ColdkeepError)) throw cause;
      throw new ColdkeepError("E_KIT", `line ${number} of the kit: ${cause.message}`, { hint: cause.hint, cause });
    }
  }

  #takeOperatorKey(value: string, number: number): void {
    if (!OPERATOR_KEY.test(value)) throw wrong(number, "is not an operator's key, `ed25519-secret:` and 44 characters");
    if (this.#kit.operatorKey !== undefined && this.#kit.operatorKey !== value) throw wrong(number, "holds a second operator's key");
    this.#kit.operatorKey = value;
  }

  #takeProgram(value: string, number: number): void {
    const digest = digestOf(value, number);
    if (this.#kit.programSha256?.includes(digest) !== true) this.#kit.programSha256 = [...(this.#kit.programSha256 ?? []), digest];
  }

  #takeRecover(value: string, number: number): void {
    const digest = digestOf(value, number);
    if (this.#kit.recoverSha256 !== undefined && this.#kit.recoverSha256 !== digest) throw wrong(number, "holds a second digest of recover.sh");
    this.#kit.recoverSha256 = digest;
  }

  finish(): Kit {
    if (this.#vault === undefined) throw new ColdkeepError("E_KIT", "the kit has no `# vault:` line", { hint: "Give the whole file that `coldkeep init` wrote." });
    if (this.#isInSeal) throw new ColdkeepError("E_KIT", "the sealed part of the kit has no end", { hint: "Take the kit again, whole, from where it is kept." });
    const sealed = this.#sealed.length === 0 ? {} : { sealed: { armored: `${this.#sealed.join("\n")}\n`, recipients: this.#recipients } };
    return { vault: this.#vault, ...this.#kit, ...sealed };
  }

  /** What a sealed part may hold. */
  secrets(): KitSecrets {
    const { identities, operatorKey } = this.#kit;
    return { identities, ...(operatorKey !== undefined && { operatorKey }) };
  }
}

/** The text that a passphrase seals. */
export function formatKitSecrets({ identities, operatorKey }: KitSecrets): string {
  return [...(operatorKey === undefined ? [] : [`# operator-key: ${operatorKey}`]), ...identities, ""].join("\n");
}

/** The secrets in a text that `formatKitSecrets` made. Throws E_KIT naming the line. */
export function parseKitSecrets(text: string): KitSecrets {
  const reader = new KitReader();
  for (const [index, line] of text.split("\n").entries()) reader.take(line, index + 1);
  return reader.secrets();
}

function digestOf(value: string, number: number): string {
  const digest = DIGEST.exec(value)?.[1];
  if (digest === undefined) throw wrong(number, "is not `sha256` and 64 hex digits");
  return digest;
}

/** The line of a kit that names a program which may be taken from a region and run. */
export function programLine(sha256: string): string {
  return `# program: sha256 ${sha256}`;
}

function wrong(number: number, what: string, hint?: string): ColdkeepError {
  return new ColdkeepError("E_KIT", `line ${number} of the kit ${what}`, { hint });
}

/**
 * The text of a kit, with comments for a person in trouble. `parseKit` gives the same kit back. Throws E_KIT for a
 * value or a note that could not be read back.
 */
export function formatKit(kit: Kit, about: KitNotes): string {
  const comments = explanation(kit, about).map((line) => (line === "" ? "#" : `# ${line}`));
  if (comments.some((line) => NEARLY_FIELD.test(line))) throw new ColdkeepError("E_KIT", "a note of the kit reads like one of its fields");
  const lines = [TITLE, "#", ...comments, "#"];
  lines.push(`# vault: ${kit.vault}`);
  for (const region of kit.regions) lines.push(`# region: ${region.name} ${region.url}`);
  for (const signer of kit.signers) lines.push(`# signer: ${signerLine(signer)}`);
  for (const { region, accessKeyId, secretAccessKey } of kit.credentials) lines.push(`# credentials: ${region} ${accessKeyId} ${secretAccessKey}`);
  if (kit.operatorKey !== undefined) lines.push(`# operator-key: ${kit.operatorKey}`);
  if (kit.recoverSha256 !== undefined) lines.push(`# recover.sh: sha256 ${kit.recoverSha256}`);
  for (const sha256 of kit.programSha256 ?? []) lines.push(programLine(sha256));
  lines.push(...kit.identities, ...sealLines(kit));
  if (lines.some((line) => /[\r\n]/.test(line))) throw new ColdkeepError("E_KIT", "a value or a note of the kit holds a line break");
  const text = `${lines.join("\n")}\n`;
  parseKit(text);
  return text;
}

function sealLines({ sealed }: Kit): string[] {
  if (sealed === undefined) return [];
  return [...sealed.recipients.map((recipient) => `# recipient: ${recipient}`), ...sealed.armored.trimEnd().split("\n").map((line) => `# ${line}`)];
}

function explainSecret({ identities, sealed }: Kit): string[] {
  if (sealed !== undefined) {
    return [
      "Whoever has this file and its passphrase can read everything in the vault; whoever loses one of the two",
      "can read nothing, and nobody can make them again. The program asks for the passphrase. The age program",
      "opens the sealed lines too, and what it gives is a file for its option -i:",
      "",
      "    sed -n '/^# -----BEGIN AGE/,/^# -----END AGE/s/^# //p' THIS-FILE | age -d > identities.txt",
      "",
    ];
  }
  if (identities.length > 0) return ["Whoever has this file can read everything in the vault; whoever loses it can read nothing,", "and nobody can make it again."];
  return ["The age identity is not in here: it is kept elsewhere. Add its AGE-SECRET-KEY line at the end", "before a restore. Without it nobody can read what the vault holds."];
}

function explanation(kit: Kit, about: KitNotes): string[] {
  return [
    `Written ${about.createdAt} by coldkeep.`,
    "",
    "KEEP THIS FILE, AND KEEP IT OFF THE SERVER.",
    ...explainSecret(kit),
    "Two copies in two places are wise: a password manager and a printed page, for example.",
    "",
    "To restore on any machine that has the program and credentials for one of the regions below,",
    "",
    "    coldkeep list --kit THIS-FILE",
    "    coldkeep restore --kit THIS-FILE --to /some/empty/directory",
    "",
    "To restore without the program, copy one region to a disk and stand in that copy. Compare what",
    "`sha256sum recover.sh` prints with the digest below; only where they are equal, go on with",
    "",
    "    sh recover.sh THIS-FILE /some/empty/directory",
    "",
    "It needs age, zstd, tar, jq and openssl. RECOVERY.md in the same place says more. Where the program",
    "was put into the regions, the script gets it from there, and needs none of these but openssl:",
    "",
    "    sh recover.sh --fetch-program THIS-FILE",
    ...(about.notes !== undefined && about.notes.length > 0 ? ["", ...about.notes] : []),
    "",
    "The lines below are read by the program. Change nothing in them.",
  ];
}
