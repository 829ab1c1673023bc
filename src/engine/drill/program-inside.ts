/** This very program for the inside of a quarantine: what has to show there, and how it is started. */
import { existsSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Shown } from "../../machine/quarantine/quarantine.ts";
import { runTool } from "../../machine/run-tool.ts";
import { singleFile } from "../single-file.ts";

const LIBRARIES = "/run/coldkeep-drill/lib";
const SHORT_MS = 30_000;

export type ProgramInside = { argv: readonly [string, ...string[]]; env: Record<string, string>; shown: Shown[] };

function readOnly(path: string, inside = path): Shown {
  return { path, inside, writable: false };
}

/** Shared libraries that the executable needs and a system at `root` lacks. */
async function missingLibraries(executable: string, root: string, signal: AbortSignal): Promise<string[]> {
  const { stdout } = await runTool({ argv: ["ldd", executable], timeoutMs: SHORT_MS, signal });
  return stdout.split("\n").flatMap((line) => {
    const [, name, path] = /^\s*(\S+) => (\/\S+)/.exec(line) ?? [];
    if (name === undefined || path === undefined) return [];
    const isThere = [path, `/usr${path}`].some((each) => existsSync(join(root, each)));
    return isThere ? [] : [path];
  });
}

/** `program` is the command line that started this one, by absolute paths. Throws E_NOT_FOUND, the signal's reason. */
export async function programInside(program: readonly string[], root: string, signal: AbortSignal): Promise<ProgramInside> {
  const [executable = process.execPath, ...args] = program;
  if (singleFile !== null) return { argv: ["/run/coldkeep-drill/coldkeep"], env: {}, shown: [readOnly(realpathSync(executable), "/run/coldkeep-drill/coldkeep")] };
  const installation = resolve(import.meta.dirname, "../../..");
  const node = realpathSync(executable);
  const modules = join(installation, "node_modules");
  // A link as node_modules leads out of the installation; a package installed beside others lies in their node_modules.
  const folders = [installation, ...(existsSync(modules) ? [realpathSync(modules)] : [dirname(installation)])];
  const libraries = await missingLibraries(node, root, signal);
  const shown = [...folders.map((path) => readOnly(path)), readOnly(node, "/run/coldkeep-drill/node"), ...libraries.map((path) => readOnly(realpathSync(path), `${LIBRARIES}/${path.slice(path.lastIndexOf("/") + 1)}`))];
  // Sources run as they stand only where Node is told so.
  const conditions = import.meta.filename.endsWith(".ts") ? ["--conditions=dev"] : [];
  return { argv: ["/run/coldkeep-drill/node", ...conditions, ...args], env: libraries.length === 0 ? {} : { LD_LIBRARY_PATH: LIBRARIES }, shown };
}
