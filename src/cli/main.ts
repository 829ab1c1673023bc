/** The process: argv in, exit status out. What a plain `--version` does not need is not loaded for it. */
import { readFileSync } from "node:fs";

const argv = process.argv.slice(2);

/** package.json lies two folders up, from the sources as from what is built of them. */
function readVersion(): string {
  const about: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof about === "object" && about !== null && "version" in about ? String(about.version) : "unknown";
}

if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
  process.stdout.write(`${readVersion()}\n`);
} else {
  // Comes only where the run waits for what nothing can bring any more: that must not end as a success.
  process.once("beforeExit", () => {
    process.stderr.write("coldkeep: error: the run broke off: it waited for something that can no longer happen\n");
    process.exit(1);
  });
  const { runProgram } = await import("./run.ts");
  // Idle connections and workers must not keep a finished run alive.
  process.exit(await runProgram(argv, readVersion()));
}
