/** Changes to the text of a configuration that leave the rest as a person wrote it, comments and all. */
import { isMap, isScalar, isSeq, parseDocument, type YAMLSeq } from "yaml";
import { ColdkeepError } from "../errors.ts";
import { type PinnedSigner, signerLine } from "../format/kit.ts";
import { parseConfig } from "./parse.ts";
import type { Config } from "./schema.ts";

/** What a bit of the text becomes. */
type Splice = { from: number; to: number; text: string };

/** The text with one recipient in another's place. `path` is for messages. Throws E_CONFIG where the text is written in a way that this cannot change. */
export function replaceRecipient(text: string, path: string, old: string, fresh: string): string {
  const item = listOf(text, "recipients")?.items.find((each) => isScalar(each) && String(each.value).trim() === old);
  const range = isScalar(item) ? item.range : undefined;
  const splice = range ? { from: range[0], to: range[1], text: JSON.stringify(fresh) } : null;
  const expected = parseConfig(text, path).recipients.map((each) => (each === old ? fresh : each));
  return apply(text, path, splice, ({ recipients }) => isSame(recipients, expected), `Put "${fresh}" in place of "${old}" under recipients: yourself.`);
}

/** The text with a signer more, at the beginning of the list. Throws as `replaceRecipient`. */
export function addConfigSigner(text: string, path: string, signer: PinnedSigner): string {
  const line = signerLine(signer);
  const expected = [line, ...parseConfig(text, path).signers.map(signerLine)];
  return apply(text, path, signerSplice(text, JSON.stringify(line)), ({ signers }) => isSame(signers.map(signerLine), expected), `Add "${line}" to signers: yourself.`);
}

function signerSplice(text: string, quoted: string): Splice | null {
  const list = listOf(text, "signers");
  const [first] = list?.items ?? [];
  if (list === undefined) return { from: text.length, to: text.length, text: `${text.endsWith("\n") ? "" : "\n"}\nsigners:\n  - ${quoted}\n` };
  if (!list.range) return null;
  if (list.flow === true) return { from: list.range[0] + 1, to: list.range[0] + 1, text: first === undefined ? quoted : `${quoted}, ` };
  const start = isScalar(first) ? first.range?.[0] : undefined;
  if (start === undefined) return null;
  const lineStart = text.lastIndexOf("\n", start - 1) + 1;
  return { from: lineStart, to: lineStart, text: `${text.slice(lineStart, start)}${quoted}\n` };
}

function listOf(text: string, key: string): YAMLSeq | undefined {
  const { contents } = parseDocument(text);
  const value: unknown = isMap(contents) ? contents.get(key, true) : undefined;
  return isSeq(value) ? value : undefined;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The edited text, once it is sure that it says what was meant. */
function apply(text: string, path: string, splice: Splice | null, isMeant: (config: Config) => boolean, hint: string): string {
  const cannot = (cause?: unknown): ColdkeepError => new ColdkeepError("E_CONFIG", `${path} is written in a way that the program does not change`, { hint, cause });
  if (splice === null) throw cannot();
  const edited = text.slice(0, splice.from) + splice.text + text.slice(splice.to);
  try {
    if (isMeant(parseConfig(edited, path))) return edited;
  } catch (cause) {
    throw cannot(cause);
  }
  throw cannot();
}
