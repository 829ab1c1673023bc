#!/usr/bin/env node
// This file must parse and run on any Node that knows modules, so that an old one gets an answer instead of a stack
// trace: no syntax newer than ES2020, no static import that an old Node lacks, nothing heavy before the version check.
import { existsSync } from "fs";
import module from "module";

const OLDEST_NODE = 26;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** @param {number} status @param {string} message */
function refuse(status, message) {
  process.stderr.write(`coldkeep: error: ${message}\n`);
  process.exitCode = status;
}

/**
 * Drops the "experimental" notices of node:ffi and node:sqlite, and nothing else: under cron a success prints nothing.
 * Done here because people also run `node bin/coldkeep.js`, where no flag of a shebang line applies.
 */
function silenceExperimentalWarnings() {
  const printers = process.listeners("warning");
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (warning.name === "ExperimentalWarning") return;
    for (const print of printers) print.call(process, warning);
  });
}

/**
 * Saves a quarter of the start of a verb that loads the storage client. Never in the default place below /tmp: another
 * user could put code there that root then runs. Where the folder cannot be made, Node compiles every time.
 */
function enableCompileCache() {
  const { HOME: home, XDG_CACHE_HOME: userCaches } = process.env;
  const caches = process.geteuid?.() === 0 ? "/var/cache" : userCaches || (home && `${home}/.cache`);
  if (caches) module.enableCompileCache(`${caches}/coldkeep`);
}

/** The built program; in a clone that was not built, the sources, which Node runs as they are. */
function loadProgram() {
  const built = existsSync(new URL("../dist/cli/main.js", import.meta.url));
  const sources = new URL("../src/cli/main.ts", import.meta.url);
  return built || !existsSync(sources) ? import("#cli") : import(sources.href);
}

/** @param {unknown} error */
function reportBrokenInstallation(error) {
  const missing = error instanceof Error && /** @type {NodeJS.ErrnoException} */ (error).code === "ERR_MODULE_NOT_FOUND";
  if (!missing) throw error;
  refuse(EXIT_FAILED, `the installation is incomplete: ${error.message}\ncoldkeep: hint: In a clone run \`npm ci\` and \`npm run build\`; else install it again.`);
}

if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) {
  refuse(
    EXIT_USAGE,
    `Node ${OLDEST_NODE} is needed and this is ${process.version}: install Node ${OLDEST_NODE} or newer (the npm package \`node\` carries it), ` +
      "or use a release's single-file executable, which needs no Node",
  );
} else {
  silenceExperimentalWarnings();
  enableCompileCache();
  loadProgram().catch(reportBrokenInstallation);
}
