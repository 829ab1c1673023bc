/** What files are cut from: one pool of bytes for each kind of file. */
import { anyOf, below, common, noiseOf, type Random, randomOf } from "./random.ts";
import { type Habit, type LineMaker, makeWords, type Writer, writerOf } from "./text.ts";

export type Kind = "config" | "source" | "catalogue" | "log" | "binary" | "packed";

export const POOL_BYTES = 16 * 1024 * 1024;

/** The bytes of a kind: the same for the same seed. Takes about a second. */
export function makePool(kind: Kind, seed: number): Buffer {
  const random = randomOf(seed);
  switch (kind) {
    case "config":
      return textPool(random, { same: 0.2, varied: 0.3, paragraph: 0.04 }, configLine);
    case "source":
      return textPool(random, { same: 0.2, varied: 0.25, paragraph: 0.03 }, sourceLine);
    case "catalogue":
      return textPool(random, { same: 0.1, varied: 0.3, paragraph: 0.02 }, catalogueLine);
    case "log":
      return textPool(random, { same: 0, varied: 0, paragraph: 0 }, logLines());
    case "binary":
      return binaryPool(random, seed);
    case "packed":
      return noiseOf(`packed ${seed}`)(POOL_BYTES);
  }
}

function textPool(random: Random, habit: Habit, make: LineMaker): Buffer {
  const writer = writerOf(random, habit, make);
  const pool = Buffer.alloc(POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; ) at += pool.write(writer.line(), at, "latin1") || POOL_BYTES;
  return pool;
}

function configLine(w: Writer): string {
  const chance = w.random();
  if (chance < 0.1) return `\n[${w.phrase()}]\n`;
  if (chance < 0.3) return `# ${w.phrase()} ${w.phrase()}\n`;
  return `${w.name()}.${w.word()} = ${chance < 0.6 ? w.number(1000) : w.phrase()}\n`;
}

function sourceLine(w: Writer): string {
  const indent = "    ".repeat(1 + below(w.random, 3));
  const chance = w.random();
  if (chance < 0.15) return `${indent}/* ${w.phrase()} ${w.phrase()} ${w.phrase()} */\n`;
  if (chance < 0.25) return `${indent}return ${w.name()};\n`;
  if (chance < 0.4) return `${indent}if (${w.name()} == ${w.word()}) {\n`;
  if (chance < 0.5) return `${indent}}\n`;
  if (chance < 0.55) return `\nstatic int ${w.name()}_${w.word()}(struct ${w.name()} *${w.name()})\n{\n`;
  return `${indent}${w.name()}->${w.word()} = ${w.phrase().replaceAll(" ", "_")}(${w.name()}, ${w.number(100)});\n`;
}

function catalogueLine(w: Writer): string {
  return `#: ${w.name()}/${w.word()}.c:${w.number(3000)}\nmsgid "${w.phrase()} ${w.phrase()}"\nmsgstr "${w.phrase()} ${w.phrase()} ${w.word()}"\n\n`;
}

/** Lines of a log, each a little later than the one before. */
function logLines(): LineMaker {
  let ms = Date.UTC(2026, 10, 23);
  return (w) => {
    ms += below(w.random, 3000);
    const process = `${w.name()}[${1000 + below(w.random, 40)}]`;
    return `${new Date(ms).toISOString()} host ${process}: ${w.phrase()} ${w.phrase()} from 10.0.0.${w.number(255)} port ${w.number(65_536)}\n`;
  };
}

/** Machine code: sequences of instructions that come again with other operands, tables of numbers near each other, names, free room. */
function binaryPool(random: Random, seed: number): Buffer {
  const noise = noiseOf(`binary ${seed}`);
  const sequences = Array.from({ length: 8000 }, () => noise(8 + below(random, 64)));
  const words = makeWords(random, 4000);
  const pool = Buffer.alloc(POOL_BYTES);
  let at = 0;
  const put = (bytes: Buffer): void => void (at += bytes.copy(pool, at));
  while (at < POOL_BYTES) {
    const chance = random();
    if (chance < 0.04) at += below(random, 400);
    else if (chance < 0.08) put(offsetTable(random));
    else if (chance < 0.2) put(Buffer.from(`${anyOf(random, words)}_${common(random, words)}\0`));
    else {
      for (let i = 0; i < 12; i++) {
        put(common(random, sequences));
        if (random() < 0.7) put(noise(1 + below(random, 7)));
      }
    }
  }
  return pool;
}

function offsetTable(random: Random): Buffer {
  const table = Buffer.alloc(180);
  let offset = below(random, 1e6);
  for (let at = 0; at <= table.length - 4; at += 4) table.writeUInt32LE((offset += 8 * below(random, 12)), at);
  return table;
}
