/**
 * Texts sealed with a passphrase: standard age files with a scrypt recipient, armored, which `age -d` opens too. No error
 * quotes the passphrase or the text.
 */
import { ColdkeepError, messageOf } from "../errors.ts";

/** The armored age file of `text`, with a line feed at its end. Takes a few seconds: scrypt with 2^18 rounds, as `age -p`. */
export async function sealText(text: string, passphrase: string): Promise<string> {
  const { Encrypter, armor } = await import("age-encryption");
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  return armor.encode(await encrypter.encrypt(text));
}

/** The text in an armored age file. Throws E_KIT when the passphrase is wrong, or the file damaged. */
export async function openText(armored: string, passphrase: string): Promise<string> {
  const { Decrypter, armor } = await import("age-encryption");
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  let file: Uint8Array;
  try {
    file = armor.decode(armored);
  } catch (cause) {
    throw damaged(cause);
  }
  try {
    return await decrypter.decrypt(file, "text");
  } catch (cause) {
    // The library tells this case by its words only.
    if (!/no identity matched/.test(messageOf(cause))) throw damaged(cause);
    throw new ColdkeepError("E_KIT", "the passphrase does not open the sealed part of the kit", { hint: "Try again: small and capital letters differ, and so do blanks." });
  }
}

function damaged(cause: unknown): ColdkeepError {
  return new ColdkeepError("E_KIT", "the sealed part of the kit is damaged", { hint: "Take another copy of the kit.", cause });
}
