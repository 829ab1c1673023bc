/** What a signature covers: a fixed prefix that separates the kinds of objects, then line 1 (format §4). */
import { ColdkeepError } from "../errors.ts";

export type SignedType = "manifest" | "checkpoint" | "record" | "program";

export function signedMessage(type: SignedType, line: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`coldkeep/v1/${type}\n`), line]);
}

export type SignedLines = { line: Buffer; signature: Buffer; rest: Buffer };

/** Splits an object into line 1, the signature of line 2, and what follows. Throws E_FORMAT. */
export function splitSigned(bytes: Buffer, maxLineBytes: number, what: string): SignedLines {
  const first = bytes.indexOf(10);
  if (first < 0 || first > maxLineBytes) throw new ColdkeepError("E_FORMAT", `${what} has no first line of at most ${maxLineBytes} bytes`);
  const second = bytes.indexOf(10, first + 1);
  const text = second < 0 ? "" : bytes.toString("latin1", first + 1, second);
  if (!/^[A-Za-z0-9+/]{86}==$/.test(text)) throw new ColdkeepError("E_FORMAT", `${what} has no signature on its second line`);
  return { line: bytes.subarray(0, first), signature: Buffer.from(text, "base64"), rest: bytes.subarray(second + 1) };
}
