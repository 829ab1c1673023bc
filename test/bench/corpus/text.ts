/**
 * Text with the repetition of real files, which is what decides how fast and how far it compresses: words follow Zipf's law, a
 * passage keeps to a few names of its own, lines come back whole or with one word changed, and whole paragraphs recur.
 */
import { anyOf, below, common, type Random } from "./random.ts";

const SYLLABLES = "ba co di fe ga hu ji ka lo me ni op qua re su ti un ver wo xa ye zi con str net sys log get set ing er al ent ion".split(" ");
const NAMES_AT_HAND = 40;
const LINES_AT_HAND = 512;

/** How often, of 1, a line is an earlier one again, an earlier one with one word changed, or the start of a copied paragraph. */
export type Habit = { same: number; varied: number; paragraph: number };

/** Makes a line from a name at hand and the words of the language. */
export type LineMaker = (writer: Writer) => string;

export function makeWords(random: Random, count: number): string[] {
  return Array.from({ length: count }, () => Array.from({ length: 1 + below(random, 4) }, () => anyOf(random, SYLLABLES)).join(""));
}

/** A writer of a language of its own. */
export function writerOf(random: Random, habit: Habit, make: LineMaker): Writer {
  const words = makeWords(random, 8000);
  const phrases = Array.from({ length: 4000 }, () => Array.from({ length: 2 + below(random, 4) }, () => common(random, words)).join(" "));
  return new Writer(random, words, phrases, habit, make);
}

export class Writer {
  readonly random: Random;
  readonly #words: readonly string[];
  readonly #phrases: readonly string[];
  readonly #names: string[];
  readonly #lines: string[] = [];
  readonly #habit: Habit;
  readonly #make: LineMaker;
  #count = 0;
  #copyFrom = 0;
  #copyLeft = 0;

  constructor(random: Random, words: readonly string[], phrases: readonly string[], habit: Habit, make: LineMaker) {
    this.random = random;
    this.#words = words;
    this.#phrases = phrases;
    this.#names = Array.from({ length: NAMES_AT_HAND }, () => anyOf(random, words));
    this.#habit = habit;
    this.#make = make;
  }

  /** A word of the language. */
  word(): string {
    return common(this.random, this.#words);
  }

  /** A few words that are often said together. */
  phrase(): string {
    return common(this.random, this.#phrases);
  }

  /** A name that this passage uses again and again. */
  name(): string {
    return common(this.random, this.#names);
  }

  number(end: number): string {
    return String(below(this.random, end));
  }

  line(): string {
    const line = this.#nextLine();
    this.#lines[this.#count++ % LINES_AT_HAND] = line;
    // The passage moves on: now and then a name falls out of use for a new one.
    if (this.random() < 0.04) this.#names[below(this.random, NAMES_AT_HAND)] = anyOf(this.random, this.#words);
    return line;
  }

  #nextLine(): string {
    if (this.#count < LINES_AT_HAND) return this.#make(this);
    if (this.#copyLeft > 0) {
      this.#copyLeft--;
      return this.#earlier(this.#copyFrom++);
    }
    let chance = this.random();
    if ((chance -= this.#habit.paragraph) < 0) {
      this.#copyFrom = below(this.random, LINES_AT_HAND);
      this.#copyLeft = 3 + below(this.random, 16);
    }
    if ((chance -= this.#habit.same) < 0) return this.#earlier(below(this.random, LINES_AT_HAND));
    if ((chance -= this.#habit.varied) < 0) return this.#varied(this.#earlier(below(this.random, LINES_AT_HAND)));
    return this.#make(this);
  }

  #earlier(at: number): string {
    return this.#lines[at % LINES_AT_HAND] ?? "";
  }

  #varied(line: string): string {
    const words = line.match(/[a-z]{3,}/g);
    return words === null ? line : line.replace(anyOf(this.random, words), this.name());
  }
}
