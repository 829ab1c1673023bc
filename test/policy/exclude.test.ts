import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { ColdkeepError } from "../../src/errors.ts";
import { compileExcludes } from "../../src/policy/exclude.ts";

function excluded(patterns: string[], path: string, isDir = false, source = "/srv"): boolean {
  return compileExcludes(patterns, source)(path, isDir).excluded;
}

describe("where a pattern applies", () => {
  test("a word matches at any depth, and everything below a directory of that name", () => {
    expect(excluded(["cache"], "/srv/cache")).toBe(true);
    expect(excluded(["cache"], "/srv/a/b/cache")).toBe(true);
    expect(excluded(["cache"], "/srv/a/cache/b/c")).toBe(true);
    expect(excluded(["cache"], "/srv/a/mycache")).toBe(false);
  });

  test("a slash inside binds it to the source, a leading one to the root of the file system", () => {
    expect(excluded(["a/b"], "/srv/a/b")).toBe(true);
    expect(excluded(["a/b"], "/srv/x/a/b")).toBe(false);
    expect(excluded(["/home/*/.cache"], "/home/eva/.cache/x", false, "/home")).toBe(true);
    expect(excluded(["/home/*/.cache"], "/home/eva/deep/.cache", false, "/home")).toBe(false);
    expect(excluded(["/home/*/.cache"], "/home/eva/.cache", true, "/")).toBe(true);
    expect(excluded(["/a/b"], "/srv/a/b")).toBe(false);
  });

  test("a trailing slash asks for a directory", () => {
    expect(excluded(["build/"], "/srv/build", false)).toBe(false);
    expect(excluded(["build/"], "/srv/build", true)).toBe(true);
    expect(excluded(["build/"], "/srv/build/out.o", false)).toBe(true);
  });

  test("the source itself and what lies outside is never excluded", () => {
    expect(excluded(["/srv", "srv", "**"], "/srv", true)).toBe(false);
    expect(excluded(["*"], "/", true, "/")).toBe(false);
    expect(excluded(["*"], "/etc", true, "/")).toBe(true);
  });

  test("a literal # or space is a character, a backslash makes any character literal", () => {
    expect(excluded(["#x#"], "/srv/#x#")).toBe(true);
    expect(excluded(["end "], "/srv/end ")).toBe(true);
    expect(excluded(["end "], "/srv/end")).toBe(false);
    expect(excluded(["\\!a\\*"], "/srv/!a*")).toBe(true);
    expect(excluded(["\\!a\\*"], "/srv/!ab")).toBe(false);
  });

  test("a ? is one character, also outside the basic plane, and never a slash", () => {
    expect(excluded(["a?c"], "/srv/a\u{1f600}c")).toBe(true);
    expect(excluded(["d/a?c"], "/srv/d/a/c")).toBe(false);
    expect(excluded(["a\nb*"], "/srv/a\nb\nc")).toBe(true);
  });
});

test("the verdict names the deciding pattern, also a negating one", () => {
  const verdict = compileExcludes(["*.log", "!keep.log", "/srv/tmp"], "/srv");
  expect(verdict("/srv/a.log", false)).toEqual({ excluded: true, pattern: "*.log" });
  expect(verdict("/srv/keep.log", false)).toEqual({ excluded: false, pattern: "!keep.log" });
  expect(verdict("/srv/tmp/keep.log", false)).toEqual({ excluded: true, pattern: "/srv/tmp" });
  expect(verdict("/srv/other", false)).toEqual({ excluded: false });
});

test("patterns that could never match are refused by name", () => {
  for (const pattern of ["", "!", "/", "!/", "a//b", "a/../b", "./a", "a\\", "[a", "a[z-a]", "[[:nope:]]", "a\0b", "x".repeat(5000)]) {
    expect(() => compileExcludes([pattern], "/srv"), JSON.stringify(pattern)).toThrow(ColdkeepError);
  }
});

test("a path of many thousand directories is judged without running out of stack", () => {
  const path = `/srv${"/d".repeat(10_000)}/leaf`;
  expect(excluded(["leaf"], path)).toBe(true);
  expect(excluded(["other"], path)).toBe(false);
});

test("a pattern made to be slow is not", () => {
  const before = performance.now();
  expect(excluded([`${"*a".repeat(40)}*b`], `/srv/${"a".repeat(255)}`)).toBe(false);
  expect(excluded([`${"**/a/".repeat(40)}b`], `/srv${"/a".repeat(1000)}`)).toBe(false);
  expect(performance.now() - before).toBeLessThan(500);
});

describe("against git itself", () => {
  const folder = mkdtempSync(join(tmpdir(), "coldkeep-exclude-"));
  execFileSync("git", ["init", "-q", folder]);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  // A real tree, for git looks at the disk to see what is a directory.
  const names = ["a", "b", "c", "ab", "ba", "a.b", ".a", "abc"];
  const tree: { path: string; isDir: boolean }[] = [];
  const grow = (parent: string, depth: number): void => {
    for (const [index, name] of names.entries()) {
      const path = parent + name;
      const isDir = depth < 3 && index % 2 === depth % 2;
      tree.push({ path, isDir });
      if (!isDir) writeFileSync(join(folder, path), "");
      else {
        mkdirSync(join(folder, path));
        grow(`${path}/`, depth + 1);
      }
    }
  };
  grow("", 0);
  const input = tree.map(({ path }) => path).join("\0");

  /** The paths git ignores; `--no-index` because nothing is tracked. */
  function ignoredByGit(patterns: string[]): Set<string> {
    writeFileSync(join(folder, ".gitignore"), `${patterns.join("\n")}\n`);
    const run = spawnSync("git", ["-C", folder, "check-ignore", "--no-index", "--stdin", "-z"], { input, encoding: "utf8" });
    if (run.status !== 0 && run.status !== 1) throw new Error(run.stderr);
    return new Set(run.stdout.split("\0"));
  }

  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("a", "b", "c", ".") },
    fc.constantFrom("*", "?", "[ab]", "[!a]", "[^b-c]", "[a-c]", "\\a", "[]a]", "[[:alpha:]]", "[.-]"),
  );
  const part = fc.oneof(
    { weight: 5, arbitrary: fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join("")) },
    fc.constant("**"),
    fc.constantFrom("*", "a*", "*b"),
  ).filter((text) => text !== "." && text !== ".." && (text === "**" || !text.includes("**")));
  const pattern = fc
    .tuple(fc.boolean(), fc.array(part, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([negated, parts, directory]) => `${negated ? "!" : ""}${parts.join("/")}${directory ? "/" : ""}`);

  test("relative patterns decide as git check-ignore does", () => {
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 5 }), (patterns) => {
        const verdict = compileExcludes(patterns, folder);
        const theirs = ignoredByGit(patterns);
        for (const { path, isDir } of tree) {
          expect(verdict(join(folder, path), isDir).excluded, `${path} under ${JSON.stringify(patterns)}`).toBe(theirs.has(path));
        }
      }),
      { numRuns: 300 },
    );
    // Each run starts a git of its own.
  }, 90_000);
});
