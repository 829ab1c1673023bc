/**
 * Matching of names against wildcard patterns, as gitignore(5) has them, without regular expressions: the time is at most
 * the product of the two lengths, whatever the pattern.
 */

export type GlobToken =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "any" }
  | { readonly kind: "star" }
  | { readonly kind: "set"; readonly negated: boolean; readonly ranges: readonly CodeRange[] };

/** First and last code point, both included. */
type CodeRange = readonly [number, number];

/** One component of a pattern; `**` stands for any number of components. */
export type GlobSegment = readonly GlobToken[] | "**";

const ANY: GlobToken = { kind: "any" };
const STAR: GlobToken = { kind: "star" };

/** The POSIX classes, in ASCII as everywhere else in a file name's syntax. */
const CLASSES: Record<string, readonly CodeRange[]> = {
  alnum: [[48, 57], [65, 90], [97, 122]],
  alpha: [[65, 90], [97, 122]],
  blank: [[9, 9], [32, 32]],
  cntrl: [[0, 31], [127, 127]],
  digit: [[48, 57]],
  graph: [[33, 126]],
  lower: [[97, 122]],
  print: [[32, 126]],
  punct: [[33, 47], [58, 64], [91, 96], [123, 126]],
  space: [[9, 13], [32, 32]],
  upper: [[65, 90]],
  xdigit: [[48, 57], [65, 70], [97, 102]],
};

/** Parses one component of a pattern, or says what is wrong with it. */
export function parseSegment(text: string): GlobSegment | { problem: string } {
  if (/^\*{2,}$/.test(text)) return "**";
  const tokens: GlobToken[] = [];
  let literal = "";
  const push = (token: GlobToken): void => {
    if (literal !== "") tokens.push({ kind: "literal", text: literal });
    literal = "";
    if (token !== STAR || tokens.at(-1) !== STAR) tokens.push(token);
  };
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (char === "\\") {
      if (at + 1 === text.length) return { problem: "ends in a backslash" };
      literal += text[++at] ?? "";
    } else if (char === "*") push(STAR);
    else if (char === "?") push(ANY);
    else if (char === "[") {
      const set = parseSet(text, at + 1);
      if ("problem" in set) return set;
      push(set.token);
      at = set.end;
    } else literal += char;
  }
  if (literal !== "") tokens.push({ kind: "literal", text: literal });
  return tokens;
}

/** Parses a set from after its `[`; `end` is the index of its `]`. */
function parseSet(text: string, from: number): { token: GlobToken; end: number } | { problem: string } {
  const negated = text[from] === "!" || text[from] === "^";
  const first = negated ? from + 1 : from;
  const ranges: CodeRange[] = [];
  let at = first;
  while (at < text.length && (text[at] !== "]" || at === first)) {
    const named = /^\[:([a-z]*):\]/.exec(text.slice(at, at + 16));
    if (named) {
      const known = CLASSES[named[1] ?? ""];
      if (known === undefined) return { problem: `names the class ${named[0]}, which does not exist` };
      ranges.push(...known);
      at += named[0].length;
      continue;
    }
    const low = setCharacter(text, at);
    at = low.end;
    if (text[at] === "-" && at + 1 < text.length && text[at + 1] !== "]") {
      const high = setCharacter(text, at + 1);
      if (high.code < low.code) return { problem: "has a range whose end comes before its start" };
      ranges.push([low.code, high.code]);
      at = high.end;
    } else ranges.push([low.code, low.code]);
  }
  if (at >= text.length) return { problem: "has a [ without its ]" };
  return { token: { kind: "set", negated, ranges }, end: at };
}

function setCharacter(text: string, at: number): { code: number; end: number } {
  const from = text[at] === "\\" ? at + 1 : at;
  const code = text.codePointAt(from) ?? 0;
  return { code, end: from + (code > 0xffff ? 2 : 1) };
}

/** Whether a component has no wildcard in it. */
export function isLiteral(segment: GlobSegment): boolean {
  return segment !== "**" && segment.every((token) => token.kind === "literal");
}

/** The text of a component without wildcards. */
export function literalText(segment: GlobSegment): string {
  if (segment === "**") return "";
  return segment.map((token) => (token.kind === "literal" ? token.text : "")).join("");
}

/**
 * Whether `text[from..to)`, one component, matches. On a mismatch only the last star need grow: what an earlier one
 * could take instead, the last one can take too.
 */
export function matchSegment(tokens: readonly GlobToken[], text: string, from: number, to: number): boolean {
  let token = 0;
  let at = from;
  let starToken = -1;
  let starAt = from;
  for (;;) {
    const current = tokens[token];
    if (current === undefined) {
      if (at === to) return true;
    } else if (current.kind === "star") {
      if (token === tokens.length - 1) return true;
      starToken = token++;
      starAt = at;
      continue;
    } else {
      const next = step(current, text, at, to);
      if (next >= 0) {
        token++;
        at = next;
        continue;
      }
    }
    if (starToken < 0 || starAt >= to) return false;
    starAt += width(text, starAt);
    at = starAt;
    token = starToken + 1;
  }
}

/** The position after one token matched at `at`, or -1. */
function step(token: GlobToken, text: string, at: number, to: number): number {
  if (token.kind === "literal") {
    const end = at + token.text.length;
    return end <= to && text.startsWith(token.text, at) ? end : -1;
  }
  if (at >= to) return -1;
  const end = at + width(text, at);
  if (token.kind !== "set") return end;
  const code = text.codePointAt(at) ?? 0;
  const inside = token.ranges.some(([low, high]) => code >= low && code <= high);
  return inside === token.negated ? -1 : end;
}

/** Characters outside the basic plane take two places. */
function width(text: string, at: number): 1 | 2 {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

/**
 * Whether the path from `from` on matches, component by component. A `**` before others takes none or more of them; one
 * at the end takes at least one, for `a/**` means what is in `a` and not `a` itself.
 */
export function matchGlob(segments: readonly GlobSegment[], path: string, from: number): boolean {
  let segment = 0;
  let at = from;
  let starSegment = -1;
  let starAt = from;
  const ended = path.length + 1;
  for (;;) {
    const current = segments[segment];
    if (current === "**") {
      if (segment === segments.length - 1) return at < ended;
      starSegment = segment++;
      starAt = at;
      continue;
    }
    if (current === undefined) {
      if (at === ended) return true;
    } else if (at < ended) {
      const end = componentEnd(path, at);
      if (matchSegment(current, path, at, end)) {
        segment++;
        at = end + 1;
        continue;
      }
    }
    if (starSegment < 0 || starAt >= ended) return false;
    starAt = componentEnd(path, starAt) + 1;
    at = starAt;
    segment = starSegment + 1;
  }
}

function componentEnd(path: string, at: number): number {
  const slash = path.indexOf("/", at);
  return slash < 0 ? path.length : slash;
}
