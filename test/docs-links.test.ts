/** What the documents promise a reader: links that lead somewhere, and commands that the program knows. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import type { Command, CommandGroup } from "../src/commands/command.ts";
import { flagOf } from "../src/commands/options.ts";
import { COMMANDS } from "../src/commands/registry.ts";

const root = resolve(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`),
  "src/recovery/RECOVERY.md",
].toSorted();

/** A document's lines that are prose: neither fenced nor indented by four. */
function prose(text: string): string[] {
  let fenced = false;
  return text.split("\n").filter((line) => {
    if (/^\s*```/.test(line)) fenced = !fenced;
    return !fenced && !/^(?: {4}|\t|\s*```)/.test(line);
  });
}

/** The anchors of a document's headings, as GitHub makes them. */
function anchors(path: string): Set<string> {
  const found = new Set<string>();
  for (const line of prose(read(path))) {
    const heading = /^#{1,6} (.*)$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const slug = heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
    for (let name = slug, again = 1; ; name = `${slug}-${again++}`) {
      if (found.has(name)) continue;
      found.add(name);
      break;
    }
  }
  return found;
}

/** Relative links of a document that lead to no file, or to no heading of it. */
function deadLinks(path: string): string[] {
  const links = prose(read(path)).flatMap((line) => [...line.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? ""));
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [file = "", anchor] = link.split("#");
    const target = file === "" ? path : relative(root, resolve(root, dirname(path), file));
    if (target.startsWith("..") || !existsSync(join(root, target))) return true;
    return anchor !== undefined && !(statSync(join(root, target)).isFile() && anchors(target).has(anchor));
  });
}

/** `program/signer: is revoked` of a document → whether a test file has one of that name. */
function isTest(claim: string): boolean {
  const [, file = "", name = ""] = /^([a-z0-9/-]+): (.*)$/.exec(claim) ?? [];
  const found = [`test/${file}.test.ts`, `test/${file}.slow.test.ts`, `test/${file}.server.test.ts`, `test/${file}.long.test.ts`].find((path) => existsSync(join(root, path)));
  return found !== undefined && ["test", "describe"].some((word) => new RegExp(`\\b${word}(?:\\.\\w+)*\\(?[^\n]*"${RegExp.escape(name)}`).test(read(found)));
}

test("every test that the threat model names is there", () => {
  const claims = [...read("docs/threat-model.md").matchAll(/`([a-z]+\/[a-z-]+: [^`]*)`/g)].map((match) => match[1] ?? "");
  expect(claims.length).toBeGreaterThan(30);
  expect(claims.filter((claim) => !isTest(claim))).toEqual([]);
});

describe("the reliability document", () => {
  const rows = [...read("docs/reliability.md").matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, number = "", rest = ""]) => ({ number: Number(number), cells: rest.split(" | ") }));

  test("lists all 80 faults, each with a test or the reason why it does not apply", () => {
    expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 80 }, (_, at) => at + 1));
    const without = rows.filter(({ cells: [, promise = "", tests = ""] }) => !tests.includes("`") && !promise.startsWith("does not apply"));
    expect(without).toEqual([]);
  });

  test("names tests that are there", () => {
    const claims = [...read("docs/reliability.md").matchAll(/`([a-z0-9]+(?:\/[a-z0-9-]+)+: [^`]*)`/g)].map((match) => match[1] ?? "");
    expect(claims.length).toBeGreaterThan(100);
    expect(claims.filter((claim) => !isTest(claim))).toEqual([]);
  });
});

const GLOBAL_FLAGS = ["--version", "--quiet", "--verbose", "--debug", "--help"];

function verbOf(words: readonly string[]): Command | undefined {
  const find = (name: string | undefined): Command | CommandGroup | undefined =>
    COMMANDS.find((command) => command.name === name || (command.subcommands === undefined && command.aliases?.includes(name ?? "")));
  const found = find(words[0]);
  return found?.subcommands === undefined ? found : found.subcommands.find(({ name }) => name === words[1]);
}

/** Command lines of a document: from `coldkeep VERB` to the end of the command. */
function commandLines(text: string): string[] {
  const joined = text.replaceAll(/\s*\\\n\s*/g, " ").replaceAll(/`coldkeep\n\s*/g, "`coldkeep ");
  return [...joined.matchAll(/(?<![\w/.-])coldkeep ((?:[a-z]+)(?: [^\n`|]*)?)/g)].map((match) => (match[1] ?? "").replace(/\s(?:#|;|&&|>|2>).*$/, ""));
}

/** What of a command line the program would not know; null for a sentence that only begins like one. */
function unknown(line: string): string | null {
  const words = line.split(/\s+/);
  const verb = verbOf(words);
  const flags = [...line.matchAll(/(?<=\s)--[a-z][a-z-]*/g)].map(([flag]) => flag);
  if (verb === undefined) return flags.length === 0 ? null : `no verb: ${line}`;
  const known = [...Object.keys(verb.options).map((name) => flagOf(name)), ...GLOBAL_FLAGS];
  const bad = flags.find((flag) => !known.includes(flag));
  return bad === undefined ? null : `${bad}: ${line}`;
}

describe("documents", () => {
  test("are found, in the guide too", () => {
    expect(documents.length).toBeGreaterThan(12);
    expect(documents).toContain("docs/guide/first-night.md");
  });

  test.each(documents)("%s: links lead to a file and a heading", (path) => {
    expect(deadLinks(path)).toEqual([]);
  });

  test.each(documents)("%s: shown commands and their options exist", (path) => {
    expect(commandLines(read(path)).flatMap((line) => unknown(line) ?? [])).toEqual([]);
  });

  test("a link to nowhere, a verb and an option that do not exist would be noticed", () => {
    expect(commandLines("    coldkeep restore --kits k --to x\n`coldkeep prune --all`")).toEqual(["restore --kits k --to x", "prune --all"]);
    expect(unknown("restore --kits k --to x")).toMatch(/^--kits/);
    expect(unknown("purge --all")).toMatch(/^no verb/);
    expect(unknown("schedule install --cron")).toBeNull();
    expect(anchors("README.md")).toContain("exit-codes");
  });

  test("show policies that are JSON", () => {
    const blocks = documents.flatMap((path) => [...read(path).matchAll(/```json\n(.*?)```/gs)].map((match) => match[1] ?? ""));
    expect(blocks.length).toBeGreaterThan(1);
    for (const block of blocks) expect(() => JSON.parse(block) as unknown).not.toThrow();
  });

  test("keep their lines short enough to read in a terminal", () => {
    const long = documents.filter((path) => path.startsWith("docs/guide/") || !path.includes("/")).flatMap((path) =>
      prose(read(path)).flatMap((line, index) => (line.length > 140 && !line.startsWith("|") ? [`${path}:${index + 1}`] : [])),
    );
    expect(long).toEqual([]);
  });
});
