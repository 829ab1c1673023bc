/**
 * Keys of each Redis database, counted as an RDB file goes by. Values are passed over, not read. The encoding is that of rdb.h and
 * rdb.c of Redis 7.4 (versions 1 to 12); what is newer or a module's old form is not counted.
 */
import { ColdkeepError } from "../../errors.ts";

/** Asks for so many bytes, or, below zero, to pass over so many. */
type Wish = number;
type Parse<Result = void> = Generator<Wish, Result, Buffer>;

const HEAD_BYTES = 9;
const CHECKSUM_BYTES = 8;
const OP = { slotInfo: 0xf4, function: 0xf5, moduleAux: 0xf7, idle: 0xf8, frequency: 0xf9, aux: 0xfa, resize: 0xfb, expireMs: 0xfc, expire: 0xfd, select: 0xfe, end: 0xff } as const;
/** Values that are one string: plain, or packed into one. */
const ONE_STRING = new Set([0, 9, 10, 11, 12, 13, 16, 17, 20]);
/** Values that are a list of so many strings an item. */
const STRINGS_AN_ITEM = new Map([[1, 1], [2, 1], [4, 2], [14, 1]]);
const STREAMS = [15, 19, 21];

function* byte(): Parse<number> {
  return (yield 1)[0] ?? 0;
}

function* lengthOrCode(): Parse<{ length: number } | { code: number }> {
  const first = yield* byte();
  if (first >> 6 === 0) return { length: first & 0x3f };
  if (first >> 6 === 1) return { length: ((first & 0x3f) << 8) | (yield* byte()) };
  if (first === 0x80) return { length: (yield 4).readUInt32BE() };
  if (first === 0x81) return { length: Number((yield 8).readBigUInt64BE()) };
  return { code: first & 0x3f };
}

function* length(): Parse<number> {
  const found = yield* lengthOrCode();
  if ("length" in found) return found.length;
  throw new ColdkeepError("E_FORMAT", "the RDB stream has a string where a length must be");
}

function* passString(): Parse {
  const found = yield* lengthOrCode();
  if ("length" in found) yield -found.length;
  else if (found.code <= 2) yield -(1 << found.code);
  else {
    const packed = yield* length();
    yield* length();
    yield -packed;
  }
}

function* passStrings(count: number): Parse {
  for (let i = 0; i < count; i++) yield* passString();
}

function* passLengths(count: number): Parse {
  for (let i = 0; i < count; i++) yield* length();
}

/** A sorted set's number in its text form. */
function* passTextNumber(): Parse {
  const bytes = yield* byte();
  if (bytes < 253) yield -bytes;
}

function* passModule(): Parse {
  for (let code = yield* length(); code !== 0; code = yield* length()) {
    if (code <= 2) yield* length();
    else if (code === 3) yield -4;
    else if (code === 4) yield -8;
    else yield* passString();
  }
}

function* passStream(type: number): Parse {
  const isSecond = type >= 19;
  for (let lists = yield* length(); lists > 0; lists--) yield* passStrings(2);
  yield* passLengths(isSecond ? 8 : 3);
  for (let groups = yield* length(); groups > 0; groups--) {
    yield* passString();
    yield* passLengths(isSecond ? 3 : 2);
    for (let pending = yield* length(); pending > 0; pending--) {
      yield -24;
      yield* length();
    }
    for (let consumers = yield* length(); consumers > 0; consumers--) {
      yield* passString();
      yield type >= 21 ? -16 : -8;
      for (let pending = yield* length(); pending > 0; pending--) yield -16;
    }
  }
}

/** Values made of many parts. */
function* passParts(type: number): Parse {
  if (STREAMS.includes(type)) return yield* passStream(type);
  if (type === 25) {
    yield -8;
    return yield* passString();
  }
  if (type === 7) {
    yield* length();
    return yield* passModule();
  }
  if (type === 24) yield -8;
  if (![3, 5, 18, 24].includes(type)) throw new ColdkeepError("E_FORMAT", `the RDB stream has a value of type ${type}`);
  for (let items = yield* length(); items > 0; items--) {
    if (type === 18 || type === 24) yield* length();
    yield* passStrings(type === 24 ? 2 : 1);
    if (type === 3) yield* passTextNumber();
    if (type === 5) yield -8;
  }
}

function* passValue(type: number): Parse {
  const strings = STRINGS_AN_ITEM.get(type);
  if (ONE_STRING.has(type)) yield* passString();
  else if (strings !== undefined) yield* passStrings((yield* length()) * strings);
  else yield* passParts(type);
}

function* parse(keys: Record<string, number>): Parse {
  const head = (yield HEAD_BYTES).toString("latin1");
  if (!/^(?:REDIS|VALKEY)\d+$/.test(head)) throw new ColdkeepError("E_FORMAT", "what the server sent is no RDB stream");
  let database = 0;
  for (;;) {
    const op = yield* byte();
    if (op === OP.end) break;
    else if (op === OP.select) database = yield* length();
    else if (op === OP.resize) yield* passLengths(2);
    else if (op === OP.aux) yield* passStrings(2);
    else if (op === OP.expireMs) yield -8;
    else if (op === OP.expire) yield -4;
    else if (op === OP.idle) yield* length();
    else if (op === OP.frequency) yield -1;
    else if (op === OP.function) yield* passString();
    else if (op === OP.slotInfo) yield* passLengths(3);
    else if (op === OP.moduleAux) {
      yield* passLengths(3);
      yield* passModule();
    } else {
      yield* passString();
      yield* passValue(op);
      keys[`db${database}`] = (keys[`db${database}`] ?? 0) + 1;
    }
  }
  yield -CHECKSUM_BYTES;
}

export class RdbCounter {
  readonly #keys: Record<string, number> = {};
  readonly #parse = parse(this.#keys);
  #wish: Wish;
  #isDone = false;
  #left = Buffer.alloc(0);
  #tail = Buffer.alloc(0);
  /** What could not be read: the file may be right all the same. */
  #fault: unknown = null;

  constructor() {
    this.#wish = this.#parse.next().value ?? 0;
  }

  /** Takes the next bytes. */
  add(bytes: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, bytes.subarray(-HEAD_BYTES)]).subarray(-HEAD_BYTES);
    if (this.#fault !== null) return;
    try {
      this.#advance(bytes);
    } catch (error) {
      this.#fault = error;
    }
  }

  #advance(given: Buffer): void {
    let bytes = this.#left.length === 0 ? given : Buffer.concat([this.#left, given]);
    this.#left = Buffer.alloc(0);
    while (!this.#isDone) {
      const taken = Math.min(Math.abs(this.#wish), bytes.length);
      if (this.#wish < 0) {
        this.#wish += taken;
        bytes = bytes.subarray(taken);
        if (this.#wish < 0) return;
        this.#next(Buffer.alloc(0));
      } else if (taken < this.#wish) {
        this.#left = Buffer.from(bytes);
        return;
      } else {
        const piece = bytes.subarray(0, taken);
        bytes = bytes.subarray(taken);
        this.#next(piece);
      }
    }
    if (bytes.length > 0) throw new ColdkeepError("E_FORMAT", "bytes follow the end of the RDB stream");
  }

  #next(bytes: Buffer): void {
    const { value, done } = this.#parse.next(bytes);
    this.#isDone = done === true;
    this.#wish = done === true ? 0 : value;
  }

  /** Keys of each database, once all bytes are in; null where the stream has values that are not known here. Throws E_DISK when its end is missing. */
  finish(): Record<string, number> | null {
    const hasEnd = this.#tail.length === HEAD_BYTES && this.#tail[0] === OP.end;
    if (this.#isDone && this.#fault === null) return this.#keys;
    if (hasEnd && this.#fault !== null) return null;
    throw new ColdkeepError("E_DISK", "the RDB stream ends before its end");
  }
}
