/** Where a kit's passphrase comes from: a file or descriptor, the environment, or a person at the terminal. Never a flag. */
import { resolve } from "node:path";
import { requireKit } from "../config/kit-file.ts";
import { readSecretLine } from "../config/private-file.ts";
import { openKit } from "../engine/kit-open.ts";
import { ColdkeepError } from "../errors.ts";
import type { Kit } from "../format/kit.ts";
import type { CommandContext } from "./command.ts";

const VARIABLE = "COLDKEEP_PASSPHRASE";
const TRIES = 3;
/** Fewer characters are guessed by whoever has the file. */
const LENGTH_MIN = 12;

/** What says where the passphrase is. */
export type PassphraseOption = { readonly passphraseFile: string | undefined };

/** A passphrase that needs no person; undefined where one has to be asked. */
function given({ env, cwd, secrets }: CommandContext, { passphraseFile }: PassphraseOption): string | undefined {
  const passphrase = passphraseFile === undefined ? env[VARIABLE] || undefined : readSecretLine(resolve(cwd, passphraseFile));
  if (passphrase !== undefined) secrets.learn(passphrase);
  return passphrase;
}

async function ask({ terminal, secrets, signal }: CommandContext, question: string): Promise<string> {
  if (!terminal.canAsk) {
    throw new ColdkeepError("E_USAGE", "a passphrase is needed, and nobody is there to type it", { hint: `Give --passphrase-file FILE, or set ${VARIABLE}.` });
  }
  const passphrase = await terminal.askSecret(question, signal);
  secrets.learn(passphrase);
  return passphrase;
}

/** Whether the passphrase can be had: for verbs that do without it. */
export function canOpen(context: CommandContext, kit: Kit, option: PassphraseOption): boolean {
  return kit.sealed === undefined || option.passphraseFile !== undefined || Boolean(context.env[VARIABLE]) || context.terminal.canAsk;
}

/** The kit at `path`, with all of its secrets at hand. Throws E_KIT, E_REFUSED, E_CONFIG, E_USAGE where nobody can be asked. */
export async function openKitAt(context: CommandContext, path: string, option: PassphraseOption): Promise<Kit> {
  return unsealed(context, requireKitAt(context, path), option);
}

/** The kit at `path`, sealed or not. Throws E_KIT when there is none or it is malformed, E_REFUSED. */
export function requireKitAt({ cwd }: CommandContext, path: string): Kit {
  return requireKit(resolve(cwd, path));
}

/** Opens a kit; a person may mistype. Throws as `openKitAt`. */
export async function unsealed(context: CommandContext, kit: Kit, option: PassphraseOption): Promise<Kit> {
  const passphrase = kit.sealed === undefined ? undefined : given(context, option);
  if (kit.sealed === undefined || passphrase !== undefined) return openKit(kit, () => Promise.resolve(passphrase ?? ""));
  for (let tries = 1; ; tries++) {
    try {
      return await openKit(kit, () => ask(context, "Passphrase of the kit:"));
    } catch (error) {
      if (tries === TRIES || !(error instanceof ColdkeepError) || error.code !== "E_KIT" || !context.terminal.canAsk) throw error;
      context.terminal.warn(error.message, error.hint);
    }
  }
}

/** A passphrase for something new, typed twice. Throws E_USAGE for a short one, and where nobody can be asked. */
export async function newPassphrase(context: CommandContext, option: PassphraseOption): Promise<string> {
  const ready = given(context, option);
  const passphrase = ready ?? (await ask(context, "New passphrase:"));
  if (passphrase.length < LENGTH_MIN) {
    throw new ColdkeepError("E_USAGE", `a passphrase has at least ${LENGTH_MIN} characters`, { hint: "Five words that nobody would guess are good, and can be written on paper." });
  }
  if (ready === undefined && (await ask(context, "Again:")) !== passphrase) throw new ColdkeepError("E_USAGE", "the two differ", { hint: "Run again; nothing was written." });
  return passphrase;
}
