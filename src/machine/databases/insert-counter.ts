/** Rows of each table, counted as they go by in a dump of MariaDB or MySQL: no other session sees just what the dump saw. */

const LINE_FEED = 0x0a;
const QUOTE = 0x27;
const BACKSLASH = 0x5c;
const OPEN = 0x28;
const CLOSE = 0x29;
const SEMICOLON = 0x3b;

/** More than any beginning of an INSERT that names its table. */
const HEAD_MAX = 512;
const INSERT = /^INSERT (?:IGNORE )?INTO `((?:[^`]|``)+)`(?: \([^)]*\))? VALUES/;

export class InsertCounter {
  /** By `database.table`. Tables without rows are not there. */
  readonly rows: Record<string, number> = {};
  readonly #database: string;
  #state: "head" | "rest" | "values" | "text" = "head";
  /** The beginning of a line, one character a byte. */
  #head = "";
  #table = "";
  #depth = 0;
  #isEscaped = false;
  /** Within a trigger, a routine or an event, whose text is anybody's. */
  #isCode = false;

  constructor(database: string) {
    this.#database = database;
  }

  /** Takes the next bytes of the dump. */
  add(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at = this.#step(bytes, at);
  }

  /** Where to go on. */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(bytes, at);
      case "rest": {
        const end = bytes.indexOf(LINE_FEED, at);
        if (end < 0) return bytes.length;
        this.#state = "head";
        return end + 1;
      }
      case "values":
        return this.#readValues(bytes, at);
      case "text":
        return this.#readText(bytes, at);
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(LINE_FEED, at);
    const lineEnd = feed < 0 ? bytes.length : feed;
    const end = Math.min(lineEnd, at + HEAD_MAX - this.#head.length);
    this.#head += bytes.toString("latin1", at, end);
    const isWhole = end === feed;
    if (!isWhole && this.#head.length < HEAD_MAX) return end;
    const head = this.#head;
    this.#head = "";
    this.#state = isWhole ? "head" : "rest";
    const delimiter = /^DELIMITER (\S+)/.exec(head)?.[1];
    if (delimiter !== undefined) this.#isCode = delimiter !== ";";
    const insert = this.#isCode ? null : INSERT.exec(head);
    if (insert === null) return isWhole ? end + 1 : end;
    const name = Buffer.from((insert[1] ?? "").replaceAll("``", "`"), "latin1").toString();
    this.#table = `${this.#database}.${name}`;
    this.#state = "values";
    this.#depth = 0;
    this.add(Buffer.from(head.slice(insert[0].length), "latin1"));
    return end;
  }

  #readValues(bytes: Buffer, at: number): number {
    for (let i = at; i < bytes.length; i++) {
      const byte = bytes[i];
      if (byte === QUOTE) {
        this.#state = "text";
        return i + 1;
      }
      if (byte === OPEN && this.#depth++ === 0) this.rows[this.#table] = (this.rows[this.#table] ?? 0) + 1;
      else if (byte === CLOSE) this.#depth--;
      else if (byte === SEMICOLON && this.#depth === 0) {
        this.#state = "rest";
        return i + 1;
      }
    }
    return bytes.length;
  }

  #readText(bytes: Buffer, at: number): number {
    for (let i = at; i < bytes.length; i++) {
      const byte = bytes[i];
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) {
        this.#state = "values";
        return i + 1;
      }
    }
    return bytes.length;
  }
}
