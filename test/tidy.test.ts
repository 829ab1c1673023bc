/** Rules of the code base that no reader should have to remember; and the proof that the lint rules really fire. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { tempDir } from "./support/temp-dir.ts";

const root = resolve(import.meta.dirname, "..");

/** Each layer with the layers it may import besides itself, `errors.ts` and `units.ts`. */
const LAYERS = {
  format: [],
  policy: ["format"],
  codec: ["format", "policy"],
  storage: ["format", "policy", "codec"],
  disk: ["format", "policy", "codec"],
  state: ["format", "policy", "codec"],
  config: ["format", "policy", "codec"],
  recovery: ["format", "policy", "codec"],
  machine: ["format", "policy", "codec", "disk", "config"],
  engine: ["format", "policy", "codec", "storage", "disk", "state", "config", "recovery", "machine"],
  commands: ["format", "policy", "config", "engine"],
  cli: ["format", "policy", "codec", "storage", "disk", "state", "config", "recovery", "machine", "engine", "commands"],
} as const satisfies Record<string, readonly string[]>;

type Layer = keyof typeof LAYERS;
const layers = Object.keys(LAYERS) as Layer[];
const outside: Layer[] = ["storage", "disk", "state", "config", "recovery", "machine", "engine", "commands", "cli"];

/** Each module of Node or package with the places that may import it. */
const MODULES: Record<string, readonly string[]> = {
  "node:buffer": layers,
  "node:crypto": ["codec", ...outside],
  "node:zlib": ["codec", ...outside],
  "node:fs": outside,
  "node:fs/promises": outside,
  "node:worker_threads": outside,
  "node:sqlite": ["state", "machine"],
  "node:ffi": ["disk/libc"],
  "node:console": ["cli"],
  "@aws-sdk/client-s3": ["storage"],
  "age-encryption": ["codec"],
  commander: ["commands", "cli"],
  ora: ["cli"],
  tar: ["format", "engine"],
  yaml: ["config"],
  zod: ["format", "config"],
  "left-pad": [],
};

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const sources = filesBelow("src").filter((path) => path.endsWith(".ts"));
const code = [...sources, ...filesBelow("test"), ...filesBelow("bin")].filter((path) => /\.(ts|js)$/.test(path));

const manifest = JSON.parse(read("package.json")) as Record<"scripts" | "dependencies" | "devDependencies", Record<string, string>>;

/** Lines that break a rule, as `file:line`, so that a failure says where. */
function offences(paths: string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

type Probe = {
  path: string;
  text: string;
  /** Part of what the linter must say; null when it must say nothing. */
  expected: string | null;
};

function importProbes(): Probe[] {
  const probes: Probe[] = [];
  for (const from of layers) {
    const reason = `${from}/ `;
    for (const to of layers) {
      const allowed = from === to || (LAYERS[from] as readonly string[]).includes(to);
      if (from !== to) {
        probes.push({ path: `${from}/to-${to}`, text: `export { value } from "../${to}/value.ts";`, expected: allowed ? null : reason });
        probes.push({ path: `${from}/inner/to-${to}`, text: `export { value } from "../../${to}/value.ts";`, expected: allowed ? null : reason });
        probes.push({ path: `${from}/lazily-to-${to}`, text: `export const value = await import("../${to}/value.ts");`, expected: allowed ? null : reason });
      }
    }
    for (const [name, places] of Object.entries(MODULES)) {
      const expected = places.includes(from) ? null : "restricted";
      probes.push({ path: `${from}/uses-${name.replaceAll(/\W/g, "-")}`, text: `export * from "${name}";`, expected });
    }
    probes.push({ path: `${from}/ground`, text: 'export { value } from "./near.ts";\nexport { ColdkeepError } from "../errors.ts";\nexport { MIB } from "../units.ts";', expected: null });
    probes.push({ path: `${from}/inner/ground`, text: 'export { value } from "../near.ts";\nexport { MIB } from "../../units.ts";', expected: null });
  }
  probes.push({ path: "disk/libc", text: 'export * from "node:ffi";', expected: null });
  probes.push({ path: "disk/libc2", text: 'export * from "node:ffi";', expected: "Only disk/libc.ts" });
  probes.push({ path: "errors-too", text: 'export { value } from "./format/value.ts";', expected: "lie under every layer" });
  return probes;
}

function behaviourProbes(): Probe[] {
  const terminal = "Only cli/ talks to the terminal";
  const pure = "not for the ground floor";
  const long = (lines: number): string => Array.from({ length: lines }, (_, index) => `export const value${index} = ${index};`).join("\n");
  const longFunction = `export function long(): number {\n  let sum = 0;\n${"  sum++;\n".repeat(70)}  return sum;\n}`;
  return [
    { path: "format/clock", text: "export const value = Date.now();", expected: pure },
    { path: "policy/random", text: "export const value = Math.random();", expected: pure },
    { path: "policy/environment", text: 'export const value = process.env["HOME"];', expected: pure },
    { path: "format/network", text: 'export const value = fetch("http://127.0.0.1/");', expected: pure },
    { path: "format/parsed-time", text: "export const value = new Date(0).toISOString();", expected: null },
    { path: "engine/clock", text: "export const value = Date.now();", expected: null },
    { path: "engine/stdout", text: 'process.stdout.write("x");\nexport {};', expected: terminal },
    { path: "commands/stderr", text: 'process.stderr.write("x");\nexport {};', expected: terminal },
    { path: "storage/named-stdout", text: 'import { stdout } from "node:process";\nstdout.write("x");', expected: terminal },
    { path: "state/console", text: 'console.log("x");\nexport {};', expected: "console" },
    { path: "cli/stdout", text: 'process.stdout.write("x");\nconsole.error("y");\nexport {};', expected: null },
    { path: "engine/floating", text: "async function work(): Promise<void> {\n  await Promise.resolve();\n}\nwork();", expected: "Promises must be awaited" },
    { path: "engine/closed-early", text: "const work = async (): Promise<number> => Promise.resolve(1);\nexport async function use(open: () => Disposable): Promise<number> {\n  using held = open();\n  void held;\n  return work();\n}", expected: "awaited promise is required" },
    { path: "engine/misused", text: "export function each(list: number[]): void {\n  list.forEach(async () => {\n    await Promise.resolve();\n  });\n}", expected: "Promise" },
    { path: "engine/any", text: "export const value = (input: any): unknown => input;", expected: "any" },
    { path: "engine/unchecked", text: 'export const value: string = JSON.parse("1");', expected: "any" },
    { path: "engine/non-null", text: "export const value = (list: number[]): number => list[0]!;", expected: "non-null" },
    { path: "engine/type-import", text: 'import { Probe } from "./probe.ts";\nexport type Other = Probe;', expected: "type" },
    { path: "engine/probe", text: "export type Probe = string;", expected: null },
    { path: "engine/unused", text: "const unused = 1;\nexport {};", expected: "unused" },
    { path: "engine/switch", text: 'export function value(kind: "a" | "b"): number {\n  switch (kind) {\n    case "a":\n      return 1;\n  }\n  return 2;\n}', expected: "exhaustive" },
    { path: "engine/long-file", text: long(401), expected: "too many lines" },
    { path: "engine/allowed-length", text: long(400), expected: null },
    { path: "engine/long-function", text: longFunction, expected: "too many lines" },
    { path: "engine/cycle-a", text: 'import { b } from "./cycle-b.ts";\nexport const a = (): unknown => b;', expected: "cycle" },
    { path: "engine/cycle-b", text: 'import { a } from "./cycle-a.ts";\nexport const b = (): unknown => a;', expected: "cycle" },
  ];
}

/** Lints the probes with the real configuration, in a tree laid out like this one: its globs are relative to its place. */
function lint(probes: Probe[]): Map<string, string> {
  const dir = tempDir();
  mkdirSync(join(dir, "test"));
  copyFileSync(join(root, "test/oxlintrc.json"), join(dir, "test/oxlintrc.json"));
  copyFileSync(join(root, "tsconfig.json"), join(dir, "tsconfig.json"));
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  const imported = layers.flatMap((layer) => [`${layer}/value`, `${layer}/near`]).map((path) => ({ path, text: "export const value = 1;" }));
  const ground = { path: "errors", text: "export class ColdkeepError extends Error {}" };
  for (const { path, text } of [{ path: "units", text: "export const MIB = 1048576;" }, ground, ...imported, ...probes]) {
    const file = join(dir, "src", `${path}.ts`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${text}\n`);
  }
  const oxlint = join(root, "node_modules/.bin/oxlint");
  const done = spawnSync(oxlint, ["-c", "test/oxlintrc.json", "--deny-warnings", "-f", "json", "src"], { cwd: dir, encoding: "utf8", maxBuffer: 1 << 28 });
  const report = JSON.parse(done.stdout) as { diagnostics: { filename: string; code?: string; message: string; help?: string }[] };
  const said = new Map<string, string>();
  for (const { filename, code: rule, message, help } of report.diagnostics) {
    const path = filename.replace(/^src\//, "").replace(/\.ts$/, "");
    said.set(path, `${said.get(path) ?? ""}${rule ?? ""} ${message} ${help ?? ""}\n`);
  }
  return said;
}

describe("lint", () => {
  test("each layer rule fires with its reason, and what is allowed passes", () => {
    const probes = importProbes();
    const said = lint(probes);
    const wrong = probes.filter(({ path, expected }) => (expected === null ? said.has(path) : !said.get(path)?.includes(expected)));
    expect(wrong.map((probe) => ({ ...probe, said: said.get(probe.path) }))).toEqual([]);
  }, 60_000);

  test("each rule about code fires", () => {
    const probes = behaviourProbes();
    const said = lint(probes);
    const wrong = probes.filter(({ path, expected }) => (expected === null ? said.has(path) : !said.get(path)?.includes(expected)));
    expect(wrong.map((probe) => ({ ...probe, said: said.get(probe.path) }))).toEqual([]);
  }, 60_000);

  test("whoever switches a rule off says why", () => {
    expect(offences(code, /(?:ox|es)lint-disable(?!.* -- \w)/)).toEqual([]);
    expect(offences(code, /@ts-(?:ignore|nocheck)|@ts-expect-error\s*$/)).toEqual([]);
  });
});

/** Files a source names: static, lazy and type imports, and the modules of workers. */
function importsOf(path: string): string[] {
  const names = read(path).matchAll(/"(\.{1,2}\/[^"]+\.ts)"/g);
  return [...names].map((match) => relative(root, resolve(root, dirname(path), match[1] ?? "")));
}

describe("sources", () => {
  const graph = new Map(sources.map((path) => [path, importsOf(path)]));
  const layerOf = (path: string): string => path.split("/")[1] ?? "";

  test("every import, also lazy and of workers, leads to a file of the same or an allowed layer", () => {
    const wrong = [...graph].flatMap(([from, targets]) =>
      targets.filter((to) => {
        const allowed: readonly string[] = LAYERS[layerOf(from) as Layer] ?? [];
        const isGround = /^src\/(errors|units)\.ts$/.test(to);
        return !graph.has(to) || !(isGround || layerOf(from) === layerOf(to) || allowed.includes(layerOf(to)));
      }).map((to) => `${from} → ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  test("every file is reached from the program", () => {
    const reached = new Set<string>();
    const open = ["src/cli/main.ts"];
    for (let path; (path = open.pop()) !== undefined; ) {
      if (reached.has(path)) continue;
      reached.add(path);
      open.push(...(graph.get(path) ?? []));
    }
    expect(sources.filter((path) => !reached.has(path))).toEqual([]);
  });

  test("lie in a layer, and all of them reach the built program", () => {
    const known = [...layers.map((layer) => `src/${layer}/`), "src/errors.ts", "src/units.ts", "src/tsconfig.json"];
    expect(filesBelow("src").filter((path) => !known.some((start) => path.startsWith(start)))).toEqual([]);
    const copied = manifest.scripts["build"]?.split(/\s+/) ?? [];
    expect(filesBelow("src").filter((path) => !path.endsWith(".ts") && path !== "src/tsconfig.json" && !copied.includes(path))).toEqual([]);
  });

  test("start workers that run from the build too, and without notices on stderr", () => {
    // The build rewrites the endings of imports, not those inside of other texts; `startWorker` does it for workers.
    expect(offences(sources, /(?<!startWorker\()new URL\(\s*"[^"]+\.ts"/)).toEqual([]);
    const starters = sources.filter((path) => read(path).includes("new Worker("));
    expect(starters.filter((path) => !read(path).includes("--disable-warning=ExperimentalWarning"))).toEqual([]);
  });

  test("leave nothing for later", () => {
    expect(offences([...sources, "bin/coldkeep.js"], /\b(?:TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
  });

  test("use the project's words", () => {
    // Options (`--snapshot`) and fields (`{{.Repository}}`) of other tools are called what they are called there.
    expect(offences(sources, /(?<!--(?:\w+-)*|\{\{\.)\b(?:[Ss]napshots?|[Bb]ackends?|[Rr]epositor(?:y|ies)|[Bb]lobs?)\b/)).toEqual([]);
  });

  test("take the time as a parameter on the ground floor", () => {
    const ground = sources.filter((path) => /^src\/(format|policy)\//.test(path));
    expect(offences(ground, /\bDate\(\s*\)/)).toEqual([]);
  });
});

describe("files", () => {
  test("are at most 400 lines long", () => {
    const long = code.filter((path) => read(path).split("\n").length - 1 > 400);
    expect(long).toEqual([]);
  });

  test("are named after what they hold", () => {
    const vague = /^(?:utils?|helpers?|commons?|misc|shared|lib|stuff)\b/;
    expect(code.filter((path) => path.split("/").some((part) => vague.test(basename(part))))).toEqual([]);
  });
});

describe("project", () => {
  test("has nothing unexpected at its top", () => {
    const allowed = [
      ".ci",
      ".gitignore",
      ".npmrc",
      "CHANGELOG.md",
      "CONTRIBUTING.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "bin",
      "docs",
      "fixtures",
      "package-lock.json",
      "package.json",
      "src",
      "test",
      "tsconfig.json",
    ];
    // A copy without its history is listed as it lies there, less what is never committed.
    const listed = spawnSync("git", ["-c", `safe.directory=${root}`, "ls-files", "-z"], { cwd: root, encoding: "utf8" });
    const tracked = existsSync(join(root, ".git")) ? listed.stdout.split("\0").filter((path) => path !== "") : readdirSync(root);
    const top = new Set(tracked.map((path) => path.split("/")[0] ?? ""));
    expect(top.size).toBeGreaterThan(5);
    expect([...top].filter((name) => !allowed.includes(name) && name !== "node_modules" && name !== "dist")).toEqual([]);
  });

  test("names exact versions of its packages", () => {
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  test("has a lock file that binds contents and names no host", () => {
    const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, { resolved?: string; integrity?: string; optionalDependencies?: Record<string, string> }> };
    const packages = Object.entries(lock.packages).filter(([path]) => path !== "");
    expect(packages.filter(([, entry]) => entry.resolved !== undefined || entry.integrity === undefined).map(([path]) => path)).toEqual([]);
    // `npm ci` refuses a lock file in which a package for another platform is missing.
    const optional = packages.flatMap(([, entry]) => Object.keys(entry.optionalDependencies ?? {}));
    expect(optional.filter((name) => lock.packages[`node_modules/${name}`] === undefined)).toEqual([]);
  });
});
