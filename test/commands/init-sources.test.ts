import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chosenSources } from "../../src/commands/init-sources.ts";
import { tempDir } from "../support/temp-dir.ts";

const PROPOSED = ["/etc", "/home", "/srv"];

test("numbers of the list and paths that are there, each once, in the order of the answer", () => {
  const spaced = join(tempDir(), "my data");
  mkdirSync(spaced);
  expect(chosenSources("", PROPOSED)).toEqual(PROPOSED);
  expect(chosenSources(`3, 1 "${spaced}" '/usr/' 1`, PROPOSED)).toEqual(["/srv", "/etc", spaced, "/usr"]);
});

test.each([
  ["0", /no number 0/],
  ["4", /no number 4/],
  ["etc", /neither a number of the list nor an absolute path/],
  ["/nowhere/at/all", /does not exist/],
])("%s is refused", (answer, message) => {
  expect(() => chosenSources(answer, PROPOSED)).toThrow(message);
});

test("where nothing is proposed, something must be given", () => {
  expect(() => chosenSources("", [])).toThrow(/must be given/);
});
