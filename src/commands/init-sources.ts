/** The answer to which sources to archive: numbers of a list, and other paths. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { ColdkeepError } from "../errors.ts";

/** Words of an answer; quotes hold blanks together. */
function words(answer: string): string[] {
  return [...answer.matchAll(/"([^"]*)"|'([^']*)'|[^\s,]+/g)].map(([word, double, single]) => double ?? single ?? word);
}

/** Absolute paths, each once. An empty answer takes all that is proposed. Throws E_USAGE. */
export function chosenSources(answer: string, proposed: readonly string[]): string[] {
  const chosen = answer === "" ? proposed : words(answer).map((word) => source(word, proposed));
  if (chosen.length > 0) return [...new Set(chosen)];
  throw new ColdkeepError("E_USAGE", "nothing is proposed here, so that a source must be given", { hint: "Give the absolute path of a directory." });
}

function source(word: string, proposed: readonly string[]): string {
  if (/^\d+$/.test(word)) {
    const path = proposed[Number(word) - 1];
    if (path !== undefined) return path;
    throw new ColdkeepError("E_USAGE", `there is no number ${word}`, { hint: `The numbers go from 1 to ${proposed.length}.` });
  }
  if (!word.startsWith("/")) throw new ColdkeepError("E_USAGE", `"${word}" is neither a number of the list nor an absolute path`);
  if (existsSync(word)) return resolve(word);
  throw new ColdkeepError("E_USAGE", `${word} does not exist`, { hint: "Give a path that is there; blanks in it need quotes." });
}
