/**
 * `npm run build:single [-- FOLDER]`: the whole program with Node itself in one executable, and its digest beside it; by
 * default in dist/single. What an installation reads from beside its modules is put into it: texts as they stand, the
 * program proper and the code of its workers as assets.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { Script } from "node:vm";
import { build, type BuildOptions, type Plugin } from "esbuild";
import { dropLibatomic } from "./drop-libatomic.ts";

const root = resolve(import.meta.dirname, "../..");
const output = join(resolve(process.argv[2] ?? join(root, "dist/single")), "coldkeep");
const OWN_FILE = /readFileSync\(new URL\("([^"]+)", import\.meta\.url\)(, "utf8")?\)/g;

/** Replaces each reading of a file beside a module by what the file holds. */
const inlineOwnFiles: Plugin = {
  name: "inline own files",
  setup(bundler) {
    bundler.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const contents = readFileSync(path, "utf8").replaceAll(OWN_FILE, (_, name: string, encoding?: string) => {
        const bytes = readFileSync(join(dirname(path), name));
        return encoding === undefined ? `Buffer.from("${bytes.toString("base64")}", "base64")` : JSON.stringify(bytes.toString("utf8"));
      });
      return { contents, loader: "ts" };
    });
  },
};

/** Leaves the program proper to the loader of its asset. */
const loadRunLater: Plugin = {
  name: "load run later",
  setup(bundler) {
    bundler.onResolve({ filter: /^\.\/run\.ts$/ }, () => ({ path: join(import.meta.dirname, "load-run.ts") }));
  },
};

const settings: BuildOptions = { absWorkingDir: root, bundle: true, platform: "node", target: "node26", plugins: [inlineOwnFiles], logLevel: "warning" };

/**
 * For code without a place of its own, all of it CommonJS. Only the names of workers are ever taken from the URL. It is kept
 * small and plain ASCII, which V8 takes in at once: names stay, so that a stack still tells something, and the licences of
 * libraries, in whose comments other letters may be, go into a file of their own.
 */
const placeless: BuildOptions = { ...settings, format: "cjs", minifyWhitespace: true, minifySyntax: true, legalComments: "external", define: { "import.meta.url": '"file:///coldkeep"' }, supported: { "dynamic-import": false } };

async function bundleMain(folder: string): Promise<string> {
  const outfile = join(folder, "main.mjs");
  await build({ ...settings, plugins: [loadRunLater, inlineOwnFiles], entryPoints: ["src/cli/main.ts"], format: "esm", outfile });
  return outfile;
}

/**
 * The program proper as one function, and the code cache of it, taken after it ran once: so it also holds the functions that
 * setting up the libraries called. The V8 that reads it is the one that runs here.
 */
async function bundleRun(folder: string): Promise<Record<string, string>> {
  const files = { "run.js": join(folder, "run.js"), "run.cache": join(folder, "run.cache"), "run.licences": join(folder, "run.js.LEGAL.txt") };
  await build({ ...placeless, entryPoints: ["src/cli/run.ts"], outfile: files["run.js"], banner: { js: "(function (module, require) {" }, footer: { js: "})" } });
  const script = new Script(readFileSync(files["run.js"], "latin1"), { filename: "coldkeep" });
  const setUp: (module: { exports: unknown }, require: NodeJS.Require) => void = script.runInThisContext();
  setUp({ exports: {} }, createRequire(import.meta.url));
  writeFileSync(files["run.cache"], script.createCachedData());
  return files;
}

/** Module of a worker, as the sources name it → the code its thread evaluates. */
async function bundleWorkers(folder: string): Promise<Record<string, string>> {
  const entryPoints = globSync("src/**/*.worker.ts", { cwd: root });
  await build({ ...placeless, entryPoints, outdir: folder, entryNames: "[name]" });
  return Object.fromEntries(entryPoints.map((path) => [basename(path), join(folder, `${basename(path, ".ts")}.js`)]));
}

const folder = mkdtempSync(join(tmpdir(), "coldkeep-single-"));
try {
  const [main, run, workers] = await Promise.all([bundleMain(folder), bundleRun(folder), bundleWorkers(folder)]);
  const config = {
    main,
    mainFormat: "module",
    output,
    assets: { ...run, ...workers },
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    // As in bin/coldkeep.js: node:ffi and node:sqlite say on stderr that they are experimental. NODE_OPTIONS has no say.
    // The main thread passes on what its workers do: a young generation of 6 MiB, as theirs, in place of 48 costs it no time.
    execArgv: ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=2"],
    execArgvExtension: "none",
  };
  writeFileSync(join(folder, "sea.json"), JSON.stringify(config));
  mkdirSync(dirname(output), { recursive: true });
  execFileSync(process.execPath, ["--build-sea", join(folder, "sea.json")], { stdio: ["ignore", "ignore", "inherit"] });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const executable = readFileSync(output);
dropLibatomic(executable);
writeFileSync(output, executable);
chmodSync(output, 0o755);
const sha256 = createHash("sha256").update(executable).digest("hex");
writeFileSync(`${output}.sha256`, `${sha256}  coldkeep\n`);
console.log(`${sha256}  ${output}`);
