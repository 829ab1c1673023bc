/** Random damage to stored text, for parsers that must take it or refuse it, and never do anything else. */
import fc from "fast-check";
import { ColdkeepError } from "../../src/errors.ts";

type Edit = { at: number; remove: number; insert: string };

const pieces = fc.oneof(
  fc.constantFrom("", "null", "-1", "1e400", "9007199254740993", '"', "{", "}", "[", "]", ",", ":", "\\", "\\u0000", "\\udc80", "\n", "..", "/", "//", "Raw", "true", '"__proto__":{},', '"at":0,'),
  fc.string({ maxLength: 8, unit: "binary" }),
);
const edits: fc.Arbitrary<Edit[]> = fc.array(fc.record({ at: fc.nat(), remove: fc.integer({ min: 0, max: 40 }), insert: pieces }), { minLength: 1, maxLength: 4 });

/** Values of any kind in place of a field's. */
const values = fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 0.5, 1e300, "", "..", "/../x", "a\0b", [], {}, [[]], null));

function edited(text: string, list: readonly Edit[]): string {
  let result = text;
  for (const { at, remove, insert } of list) {
    const from = at % (result.length + 1);
    result = result.slice(0, from) + insert + result.slice(from + remove);
  }
  return result;
}

/** Every field of a JSON object, also deep ones, as paths. */
function pathsOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const entries: [string | number, unknown][] = Array.isArray(value) ? value.map((item, i) => [i, item]) : Object.entries(value);
  return [path, ...entries.flatMap(([key, item]) => pathsOf(item, [...path, key]))];
}

function replaced(value: unknown, path: readonly (string | number)[], by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  if (Array.isArray(value)) return value.map((item, i) => (i === key ? replaced(item, rest, by) : item));
  return { ...(value as object), [key]: replaced(Reflect.get(value as object, key), rest, by) };
}

/** A JSON line with some text edited, or with one of its values replaced by another. */
export function damaged(line: string): fc.Arbitrary<string> {
  const paths = pathsOf(JSON.parse(line));
  return fc.oneof(
    edits.map((list) => edited(line, list)),
    fc.tuple(fc.constantFrom(...paths), values).map(([path, value]) => JSON.stringify(replaced(JSON.parse(line), path, value)) ?? ""),
  );
}

const byteEdits = fc.array(fc.record({ at: fc.nat(), kind: fc.nat(5), bytes: fc.uint8Array({ maxLength: 24 }), length: fc.integer({ min: 1, max: 300 }) }), { minLength: 1, maxLength: 5 });

/** Bytes with pieces flipped, cut out, doubled, replaced or put in; or bytes that never were anything. */
export function damagedBytes(valid: Uint8Array): fc.Arbitrary<Buffer> {
  const edited = byteEdits.map((edits) => edits.reduce<Buffer>((bytes, edit) => editedBytes(bytes, edit), Buffer.from(valid)));
  return fc.oneof({ weight: 8, arbitrary: edited }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)) });
}

function editedBytes(bytes: Buffer, { at, kind, bytes: piece, length }: { at: number; kind: number; bytes: Uint8Array; length: number }): Buffer {
  const from = at % (bytes.length + 1);
  const [before, behind] = [bytes.subarray(0, from), bytes.subarray(from)];
  switch (kind) {
    case 0:
      return bytes.length === from ? bytes : Buffer.concat([before, Buffer.from([(bytes[from] ?? 0) ^ (1 << (length % 8))]), behind.subarray(1)]);
    case 1:
      return Buffer.concat([before, behind.subarray(length)]);
    case 2:
      return Buffer.concat([before, behind.subarray(0, length), behind]);
    case 3:
      return Buffer.concat([before, piece, behind.subarray(piece.length)]);
    case 4:
      return Buffer.concat([before, piece, behind]);
    default:
      return before;
  }
}

/** What `parse` makes of a text, or undefined where it refuses it as it should. Any other error is thrown on. */
export function accepted<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ColdkeepError && error.code === "E_FORMAT") return undefined;
    throw error;
  }
}
