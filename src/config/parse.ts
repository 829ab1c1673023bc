/** Text of a configuration file → trusted value, with every complaint at its line and column. */
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import { ColdkeepError, messageOf } from "../errors.ts";
import { didYouMean } from "../policy/closest.ts";
import { type Config, ConfigSchema, knownKeys } from "./schema.ts";

/** More bytes than any configuration has. */
export const CONFIG_BYTES_MAX = 1024 * 1024;

/** Aliases repeat what an anchor names; more of them, nested, would fill the memory. */
export const ALIASES_MAX = 50;

type Path = readonly PropertyKey[];

/** One complaint; `offset` is its place in the text. What is missing comes last: it may stand there mistyped. */
type Problem = { offset: number; path: Path; message: string; hint?: string | undefined; missing?: boolean };

/** A value that stands where a public text belongs may be a secret put in the wrong place. */
const SECRETS = /(?:AGE-SECRET-KEY-|ed25519-secret:)[^\s"']*/gi;

/**
 * Parses and checks a configuration. Throws E_CONFIG naming `path`, line:column and key of the first problem, and how
 * many more there are; a secret key in the text is never repeated.
 */
export function parseConfig(text: string, path: string): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, logLevel: "error" });
  const fail = (problems: readonly Problem[]): never => {
    const [first, ...rest] = problems.toSorted((a, b) => Number(a.missing ?? false) - Number(b.missing ?? false) || a.offset - b.offset);
    if (first === undefined) throw new ColdkeepError("E_CONFIG", `${path} is not a configuration`);
    const { line, col } = lines.linePos(first.offset);
    const key = first.path.length === 0 ? "" : `${formatPath(first.path)}: `;
    const more = rest.length === 0 ? "" : ` (and ${rest.length} more ${rest.length === 1 ? "problem" : "problems"})`;
    throw new ColdkeepError("E_CONFIG", `${path}:${line}:${col}: ${key}${first.message}${more}`.replace(SECRETS, "[a secret key]"), {
      hint: first.hint?.replace(SECRETS, "[a secret key]"),
    });
  };
  // A warning is about a tag that means nothing here.
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) fail(faults.map(({ pos, message, code }) => ({ offset: pos[0], path: [], message: syntaxMessage(code, message) })));
  const result = ConfigSchema.safeParse(plainValue(document, fail));
  return result.success ? result.data : fail(result.error.issues.flatMap((issue) => problemsOf(issue, document)));
}

function plainValue(document: Document, fail: (problems: readonly Problem[]) => never): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    const message = messageOf(error).startsWith("Unresolved alias") ? "uses an alias whose anchor is not set before it" : `repeats too much by aliases (at most ${ALIASES_MAX})`;
    return fail([{ offset: 0, path: [], message, hint: "Write the values out." }]);
  }
}

/** The parser's own words, in the manner of this program's. */
function syntaxMessage(code: string, message: string): string {
  if (code === "DUPLICATE_KEY") return "a key stands here a second time";
  if (code === "MULTIPLE_DOCS") return "a second document begins here; a configuration is one";
  const text = message.replace(/\.$/, "");
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function formatPath(path: Path): string {
  return path.map((part, index) => (typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`)).join("");
}

function problemsOf(issue: z.core.$ZodIssue, document: Document): Problem[] {
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(key, issue.path, document));
  if (issue.code === "invalid_union") return unionProblems(issue, document);
  const offset = offsetOf(document, issue.path);
  if (issue.path.length === 0 && document.contents === null) {
    return [{ offset: 0, path: [], message: "is empty", hint: "`coldkeep init` writes a configuration." }];
  }
  if (isMissing(issue, document)) return [{ offset, path: issue.path, message: "is missing", hint: missingHint(issue.path), missing: true }];
  // A form that lacks a key says so itself, where either of two would do.
  const missing = issue.code === "custom" && issue.params?.["missing"] === true;
  return [{ offset, path: issue.path, message: issueMessage(issue), hint: hintOf(issue), missing }];
}

/** Of a union, the complaint of the form that fits the kind of node which stands there. */
function unionProblems(issue: z.core.$ZodIssueInvalidUnion, document: Document): Problem[] {
  const node = nodeAt(document, issue.path);
  const ofMap = (each: z.core.$ZodIssue): boolean => each.path.length > 0 || each.code === "unrecognized_keys";
  const inner = issue.errors.flat().filter((each) => (isMap(node) ? ofMap(each) : each.code === "custom"));
  if (inner.length === 0) return [{ offset: offsetOf(document, issue.path), path: issue.path, message: issue.message }];
  return inner.flatMap((each) => problemsOf({ ...each, path: [...issue.path, ...each.path] }, document));
}

function unknownKey(key: string, path: Path, document: Document): Problem {
  const map = nodeAt(document, path);
  const pair = isMap(map) ? map.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
  const offset = isNode(pair?.key) ? (pair.key.range?.[0] ?? 0) : offsetOf(document, path);
  const known = knownKeys(path);
  const suggestion = didYouMean(key, known).trim();
  return { offset, path: [...path, key], message: "is not a known key", hint: suggestion === "" ? `Known here are ${known.join(", ")}.` : suggestion };
}

function isMissing(issue: z.core.$ZodIssue, document: Document): boolean {
  return issue.code === "invalid_type" && issue.path.length > 0 && nodeAt(document, issue.path) === undefined;
}

function missingHint(path: Path): string | undefined {
  return path[0] === "vault" ? "`coldkeep init` writes it; it stands in the kit too." : undefined;
}

const KINDS: Record<string, string> = { string: "text", number: "a number", int: "a whole number", array: "a list", object: "a map of keys" };

function issueMessage(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input")) return `must be ${KINDS[issue.expected] ?? issue.expected}`;
  if (issue.code === "too_small") return issue.message.startsWith("Too small") ? `must be at least ${issue.minimum}` : issue.message;
  if (issue.code === "too_big") return issue.message.startsWith("Too big") ? `must be at most ${issue.maximum}` : issue.message;
  return issue.message;
}

function hintOf(issue: z.core.$ZodIssue): string | undefined {
  const hint: unknown = issue.code === "custom" ? issue.params?.["hint"] : undefined;
  if (typeof hint === "string") return hint;
  return issue.code === "invalid_type" && issue.expected === "string" && issue.message.startsWith("Invalid input") ? "Put the value into quotes." : undefined;
}

/** Where a path stands in the text; for what is missing, where the map or list it belongs to begins. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length >= 0; length--) {
    const node = nodeAt(document, path.slice(0, length));
    if (node?.range) return node.range[0];
  }
  return 0;
}

function nodeAt(document: Document, path: Path): Node | undefined {
  let node: unknown = document.contents;
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) node = node.items.find((item) => isScalar(item.key) && item.key.value === part)?.value;
    else if (isSeq(node) && typeof part === "number") node = node.items[part];
    else return undefined;
  }
  return isNode(node) ? node : undefined;
}
