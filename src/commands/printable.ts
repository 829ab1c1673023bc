/** Names come from file systems and from strangers' objects; a terminal obeys what looks like one of its commands. */

/**
 * Control characters (C0, DEL, C1), characters that reorder or hide text (bidirectional marks, line separators, zero
 * width ones, the byte order mark), and lone surrogates.
 */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const UNPRINTABLE = /[\0-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Surrogate}/gu;

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
/** A byte that is not UTF-8 stands in the program's texts as U+DC00 + byte. */
const RAW_FIRST = 0xdc80;
const RAW_LAST = 0xdcff;

function escapeCharacter(char: string): string {
  const short = SHORT[char];
  if (short !== undefined) return short;
  const code = char.charCodeAt(0);
  if (code >= RAW_FIRST && code <= RAW_LAST) return `\\x${(code & 0xff).toString(16)}`;
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

/** One line that is safe to print: what is unprintable is shown as `\n`, `\xff` or `\u202e`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escapeCharacter);
}

/** The same for text of several lines or columns: newlines and tabs stay. Leaves printable JSON valid and equal. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE, (char) => (char === "\n" || char === "\t" ? char : escapeCharacter(char)));
}
