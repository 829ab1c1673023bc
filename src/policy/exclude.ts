/**
 * Which paths below a source are left out: patterns as in gitignore(5), one list a source, the last match deciding.
 * Two rules differ, because the list stands in YAML and not beside the files: a leading `/` means the absolute path, and
 * `#` is an ordinary character.
 */
import { ColdkeepError } from "../errors.ts";
import { type GlobSegment, isLiteral, literalText, matchGlob, matchSegment, parseSegment } from "./glob.ts";

/** What the patterns say of one path; `pattern` is the one that decided, as it was written. */
export type ExcludeVerdict = { readonly excluded: boolean; readonly pattern?: string };

export type ExcludeTest = (path: string, isDir: boolean) => ExcludeVerdict;

type Rule = {
  verdict: ExcludeVerdict;
  directoriesOnly: boolean;
  /** Code unit a name must begin or end with to match at all; absent where any will do. */
  firstCode: number | undefined;
  lastCode: number | undefined;
  /** `start` is where the source's own part of the path begins, `nameStart` where its last component does. */
  matches(path: string, start: number, nameStart: number): boolean;
};

const NOT_EXCLUDED: ExcludeVerdict = Object.freeze({ excluded: false });

/** Verdicts of directories kept for the paths below them; more than a walk has open at once. */
const REMEMBERED_MAX = 4096;

/** Pairs of first and last code unit whose rules are kept. */
const CANDIDATES_MAX = 4096;

/** No pattern anybody means is longer. */
const PATTERN_LENGTH_MAX = 4096;

/**
 * Compiles the patterns of the source at `sourcePath` (absolute, without a final slash). The returned test takes absolute
 * paths and looks at the directories above a path too: what lies in an excluded directory cannot be taken back by a `!`.
 * The source itself is never excluded. Throws E_CONFIG for a pattern that could match nothing.
 */
export function compileExcludes(patterns: readonly string[], sourcePath: string): ExcludeTest {
  if (patterns.length === 0) return () => NOT_EXCLUDED;
  const start = sourcePath === "/" ? 1 : sourcePath.length + 1;
  // Backwards, so that the first match is the one that decides.
  const candidatesOf = indexByEnds(patterns.map(compileRule).reverse());
  const remembered = new Map<string, ExcludeVerdict>();
  let lastParent = "";
  let lastVerdict = NOT_EXCLUDED;

  const ownVerdict = (path: string, nameStart: number, isDir: boolean): ExcludeVerdict => {
    for (const rule of candidatesOf(path, nameStart)) {
      if ((isDir || !rule.directoriesOnly) && rule.matches(path, start, nameStart)) return rule.verdict;
    }
    return NOT_EXCLUDED;
  };

  // Top down and in a loop, for a path may be thousands of directories deep.
  const directoryVerdict = (directory: string): ExcludeVerdict => {
    const known = remembered.get(directory);
    if (known !== undefined) return known;
    let verdict = NOT_EXCLUDED;
    let nameStart = start;
    while (nameStart <= directory.length && !verdict.excluded) {
      const slash = directory.indexOf("/", nameStart);
      const ancestor = slash < 0 ? directory : directory.slice(0, slash);
      verdict = remembered.get(ancestor) ?? ownVerdict(ancestor, nameStart, true);
      nameStart = ancestor.length + 1;
    }
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    remembered.set(directory, verdict);
    return verdict;
  };

  return (path, isDir) => {
    if (path.length <= start - 1 || path === "/") return NOT_EXCLUDED;
    const nameStart = path.lastIndexOf("/") + 1;
    if (nameStart > start) {
      if (nameStart - 1 !== lastParent.length || !path.startsWith(lastParent)) {
        const parent = path.slice(0, nameStart - 1);
        lastVerdict = directoryVerdict(parent);
        lastParent = parent;
      }
      if (lastVerdict.excluded) return lastVerdict;
    }
    return ownVerdict(path, nameStart, isDir);
  };
}

/**
 * Most rules cannot match most names for their first or last letter alone. The rules left for a pair of letters are
 * looked up, not found out again: of twenty patterns hardly one is tried on a path.
 */
function indexByEnds(rules: readonly Rule[]): (path: string, nameStart: number) => readonly Rule[] {
  const index = new Map<number, readonly Rule[]>();
  return (path, nameStart) => {
    const first = path.charCodeAt(nameStart);
    const last = path.charCodeAt(path.length - 1);
    const key = first * 0x10000 + last;
    const known = index.get(key);
    if (known !== undefined) return known;
    const left = rules.filter((rule) => (rule.firstCode ?? first) === first && (rule.lastCode ?? last) === last);
    if (index.size >= CANDIDATES_MAX) index.clear();
    index.set(key, left);
    return left;
  };
}

function compileRule(pattern: string): Rule {
  if (pattern.length > PATTERN_LENGTH_MAX) throw bad(pattern.slice(0, 40), `is longer than ${PATTERN_LENGTH_MAX} characters`);
  if (pattern.includes("\0")) throw bad(pattern, "holds a NUL, which no name can");
  const negated = pattern.startsWith("!");
  let text = negated ? pattern.slice(1) : pattern;
  const directoriesOnly = text.endsWith("/");
  if (directoriesOnly) text = text.slice(0, -1);
  if (text === "") throw bad(pattern, "is empty", "Leave it out, or name what is to be excluded.");
  const absolute = text.startsWith("/");
  const segments = (absolute ? text.slice(1) : text).split("/").map((part) => parsePart(part, pattern));
  const name = segments.at(-1);
  const tokens = name === undefined || name === "**" ? [] : name;
  const [firstToken] = tokens;
  const lastToken = tokens.at(-1);
  return {
    verdict: Object.freeze({ excluded: !negated, pattern }),
    directoriesOnly,
    firstCode: firstToken?.kind === "literal" ? firstToken.text.charCodeAt(0) : undefined,
    lastCode: lastToken?.kind === "literal" ? lastToken.text.charCodeAt(lastToken.text.length - 1) : undefined,
    matches: compileMatch(segments, absolute),
  };
}

function compileMatch(segments: readonly GlobSegment[], absolute: boolean): Rule["matches"] {
  const [only] = segments;
  if (segments.length === 1 && only !== undefined && !absolute) return compileName(only);
  if (segments.every(isLiteral)) {
    const literal = segments.map(literalText).join("/");
    if (absolute) return (path) => path === `/${literal}`;
    return (path, start) => path.length === start + literal.length && path.startsWith(literal, start);
  }
  // What comes before the first wildcard is compared first: it settles nearly every path.
  const prefix = literalPrefix(segments);
  return (path, start) => {
    const from = absolute ? 1 : start;
    return path.startsWith(prefix, from) && matchGlob(segments, path, from);
  };
}

/** Patterns without a slash look at the last component alone; nearly all are a word, or `*` and an ending. */
function compileName(segment: GlobSegment): Rule["matches"] {
  if (isLiteral(segment)) {
    const name = literalText(segment);
    return (path, _start, nameStart) => path.length - nameStart === name.length && path.startsWith(name, nameStart);
  }
  if (segment === "**") return () => true;
  const [first, ...rest] = segment;
  if (first?.kind === "star" && isLiteral(rest)) {
    const ending = literalText(rest);
    return (path, _start, nameStart) => path.length - nameStart >= ending.length && path.endsWith(ending);
  }
  return (path, _start, nameStart) => matchSegment(segment, path, nameStart, path.length);
}

function literalPrefix(segments: readonly GlobSegment[]): string {
  let prefix = "";
  for (const segment of segments) {
    if (!isLiteral(segment)) break;
    prefix += `${literalText(segment)}/`;
  }
  return prefix;
}

function parsePart(part: string, pattern: string): GlobSegment {
  if (part === "") throw bad(pattern, "has an empty part between two slashes", "Write single slashes.");
  if (part === "." || part === "..") throw bad(pattern, `has "${part}" as a part, which no path has`, "Write the path without it.");
  const parsed = parseSegment(part);
  if (typeof parsed === "object" && "problem" in parsed) throw bad(pattern, parsed.problem);
  return parsed;
}

function bad(pattern: string, what: string, hint?: string): ColdkeepError {
  return new ColdkeepError("E_CONFIG", `the exclude pattern "${pattern}" ${what}`, {
    hint: hint ?? "Patterns are written as in .gitignore; a backslash takes the meaning from the character after it.",
  });
}
