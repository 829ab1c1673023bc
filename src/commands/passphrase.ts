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
/** What says where one for something new is; it is never the same variable, which may hold an old one. */
export type NewPassphraseOption = { readonly protect: boolean; readonly newPassphraseFile: string | undefined };

function readFrom({ cwd, secrets }: CommandContext, file: string): string {
  const passphrase = readSecretLine(resolve(cwd, file));
  secrets.learn(passphrase);
  return passphrase;
}

/** A passphrase that needs no person; undefined where one has to be asked. */
function given(context: CommandContext, { passphraseFile }: PassphraseOption): string | undefined {
  return passphraseFile === undefined ? context.env[VARIABLE] || undefined : readFrom(context, passphraseFile);
}

async function ask({ terminal, secrets, signal }: CommandContext, question: string, instead: string): Promise<string> {
  if (!terminal.canAsk) throw new ColdkeepError("E_USAGE", "a passphrase is needed, and nobody is there to type it", { hint: instead });
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

/** Opens a kit. Throws as `openKitAt`. */
export async function unsealed(context: CommandContext, kit: Kit, option: PassphraseOption): Promise<Kit> {
  return (await unsealedWith(context, kit, option)).kit;
}

/** The same, with the passphrase that opened it; null where none was needed. A person may mistype. */
export async function unsealedWith(context: CommandContext, kit: Kit, option: PassphraseOption): Promise<{ kit: Kit; passphrase: string | null }> {
  if (kit.sealed === undefined) return { kit, passphrase: null };
  const ready = given(context, option);
  for (let tries = 1; ; tries++) {
    const passphrase = ready ?? (await ask(context, "Passphrase of the kit:", `Give --passphrase-file FILE, or set ${VARIABLE}.`));
    try {
      return { kit: await openKit(kit, passphrase), passphrase };
    } catch (error) {
      if (ready !== undefined || tries === TRIES || !(error instanceof ColdkeepError)) throw error;
      context.terminal.warn(error.message, error.hint);
    }
  }
}

/** A passphrase for something new, typed twice; null where none is wanted. Throws E_USAGE for a short one, and where nobody can be asked. */
export async function newPassphrase(context: CommandContext, { protect, newPassphraseFile }: NewPassphraseOption): Promise<string | null> {
  if (!protect && newPassphraseFile === undefined) return null;
  const instead = "Give --new-passphrase-file FILE.";
  const passphrase = newPassphraseFile === undefined ? await ask(context, "New passphrase:", instead) : readFrom(context, newPassphraseFile);
  if (passphrase.length < LENGTH_MIN) {
    throw new ColdkeepError("E_USAGE", `a passphrase has at least ${LENGTH_MIN} characters`, { hint: "Five words that nobody would guess are good, and can be written on paper." });
  }
  const isMistyped = newPassphraseFile === undefined && (await ask(context, "Again:", instead)) !== passphrase;
  if (isMistyped) throw new ColdkeepError("E_USAGE", "the two passphrases differ", { hint: "Run again; nothing was written." });
  return passphrase;
}
