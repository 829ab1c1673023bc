/**
 * Stands in for src/cli/run.ts in the single executable. The bundle of the program is an asset of its own, with V8's code
 * cache beside it, so that `--version` need not wait until megabytes of it are set up.
 */
import { createRequire } from "node:module";
import { getRawAsset } from "node:sea";
import { Script } from "node:vm";

type Wrapper = (module: { exports: unknown }, require: NodeJS.Require) => void;

function load(): typeof import("../../src/cli/run.ts") {
  const script = new Script(Buffer.from(getRawAsset("run.js")).toString("latin1"), { filename: "coldkeep", cachedData: Buffer.from(getRawAsset("run.cache")) });
  const module: { exports: unknown } = { exports: {} };
  const wrapper: Wrapper = script.runInThisContext();
  // Only for Node's own modules, so from where makes no difference.
  wrapper(module, createRequire("/"));
  // What the build bundled is this very module.
  return module.exports as typeof import("../../src/cli/run.ts");
}

export const { runProgram } = load();
