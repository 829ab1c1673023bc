/** What must never leave the process in any text: known secrets, and whatever looks like a secret key. */

const KEYS = /(?:AGE-SECRET-KEY-|ed25519-secret:)[^\s"'\\]*/gi;
/** Credentials of regions, ours and those of the S3 client, and the passphrase of a kit. */
const SECRET_VARIABLE = /^(?:(?:COLDKEEP_[A-Z0-9_]+|AWS)_(?:SECRET_ACCESS_KEY|SESSION_TOKEN)|COLDKEEP_PASSPHRASE)$/;
/** Shorter ones are words that stand in a text for other reasons. */
const LENGTH_MIN = 6;
/** What was made to be guessed by nobody: long, or not so long and with digits. A plain word of a path is none. */
const TOKEN = /^(?=.*\d).{12,}$|^.{20,}$/s;
/** Headers whose values are secret, whatever they look like. */
const SECRET_HEADER = /auth|token|key|secret|cookie/i;

export class Secrets {
  #known: readonly string[] = [];

  /** Knows the credentials in the environment. */
  constructor(environment: Readonly<Record<string, string | undefined>>) {
    for (const [name, value] of Object.entries(environment)) if (SECRET_VARIABLE.test(name)) this.learn(value ?? "");
  }

  /** From now on `secret` is taken out, also where it stands inside of JSON. */
  learn(secret: string): void {
    if (secret.length < LENGTH_MIN) return;
    const forms = [secret, JSON.stringify(secret).slice(1, -1)];
    // The longest first: one may be a part of another.
    this.#known = [...new Set([...this.#known, ...forms])].toSorted((a, b) => b.length - a.length);
  }

  /** An address that is enough to use what it leads to: as a whole, and the tokens in it. */
  learnAddress(address: string): void {
    this.learn(address);
    const url = new URL(address);
    this.learn(decodeURIComponent(url.password));
    const parts = [url.pathname + url.search, ...url.pathname.split("/"), ...url.searchParams.values()];
    for (const part of parts) if (TOKEN.test(part)) this.learn(part);
  }

  learnHeader(name: string, value: string): void {
    if (!SECRET_HEADER.test(name) && !TOKEN.test(value)) return;
    this.learn(value);
    // `Bearer x`: the second word alone is the secret.
    this.learn(value.replace(/^\S+\s+/, ""));
  }

  /** The text without them. */
  without(text: string): string {
    let clean = text.replace(KEYS, "[a secret key]");
    for (const secret of this.#known) clean = clean.replaceAll(secret, "[a secret]");
    return clean;
  }
}
