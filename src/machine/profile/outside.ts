/** Programs and runtimes that no package brought: a rebuilt machine has them only if somebody knows of them. */
import { sha256Hex } from "../../codec/digest.ts";
import type { Profile } from "../../format/profile.ts";
import { MIB } from "../../units.ts";
import type { Look } from "./look.ts";
import type { Ownership } from "./ownership.ts";
import { type Budget, entriesOf, isSpent } from "./size-up.ts";

type Outside = Profile["outside"][number];

const PROGRAMS_MAX = 2000;
const DEPTH_MAX = 6;
const HASHED_FILE_BYTES_MAX = 4 * MIB;
const HASHED_BYTES_MAX = 8 * MIB;
/** Version managers, below a home: where each version lies, and how many folders deep. */
const MANAGERS: readonly { what: string; folder: string; depth: number }[] = [
  { what: "nvm: node", folder: ".nvm/versions/node", depth: 1 },
  { what: "fnm: node", folder: ".local/share/fnm/node-versions", depth: 1 },
  { what: "volta", folder: ".volta/tools/image", depth: 2 },
  { what: "asdf", folder: ".asdf/installs", depth: 2 },
  { what: "mise", folder: ".local/share/mise/installs", depth: 2 },
  { what: "pyenv: python", folder: ".pyenv/versions", depth: 1 },
  { what: "rbenv: ruby", folder: ".rbenv/versions", depth: 1 },
  { what: "rustup", folder: ".rustup/toolchains", depth: 1 },
  { what: "cargo: program", folder: ".cargo/bin", depth: 1 },
  { what: "sdkman", folder: ".sdkman/candidates", depth: 2 },
  { what: "conda: environment", folder: "miniconda3/envs", depth: 1 },
];

/** Whether something is mounted or linked elsewhere does not matter here: only real files count. */
function* programsBelow(look: Look, path: string, depth: number, budget: Budget): Generator<{ path: string; bytes: number }> {
  if (depth > DEPTH_MAX) return;
  for (const entry of entriesOf(look.at(path)).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (isSpent(budget)) return;
    budget.entries--;
    const child = `${path}/${entry.name}`;
    if (entry.isDirectory()) {
      if (entry.name !== "node_modules" && entry.name !== ".git") yield* programsBelow(look, child, depth + 1, budget);
    } else if (entry.isFile()) {
      const stat = look.stat(child);
      if (stat !== null && (stat.mode & 0o111) !== 0) yield { path: child, bytes: stat.size };
    }
  }
}

function readPrograms(look: Look, ownership: Ownership, budget: Budget): Outside[] {
  const found: Outside[] = [];
  let hashed = 0;
  for (const folder of ["/usr/local", "/opt"]) {
    for (const { path, bytes } of programsBelow(look, folder, 0, budget)) {
      if (ownership.of(path) !== undefined) continue;
      if (found.length >= PROGRAMS_MAX) {
        look.gap("programs outside of packages", `only the first ${PROGRAMS_MAX} are listed`);
        return found;
      }
      const isHashed = bytes <= HASHED_FILE_BYTES_MAX && hashed + bytes <= HASHED_BYTES_MAX && performance.now() < budget.endMs;
      const content = isHashed ? look.bytes(path) : null;
      hashed += content?.length ?? 0;
      found.push({ path, bytes, sha256: content === null ? "" : sha256Hex(content), what: "program" });
    }
  }
  if (isSpent(budget)) look.gap("programs outside of packages", "/usr/local and /opt hold more than was looked at");
  return found;
}

function* versionsBelow(look: Look, path: string, depth: number): Generator<string> {
  for (const name of look.names(path)) {
    const child = `${path}/${name}`;
    if (depth > 1) yield* versionsBelow(look, child, depth - 1);
    else if (look.stat(child)?.isSymbolicLink() === false) yield child;
  }
}

/** Not measured: a toolchain has tens of thousands of files. */
function readRuntimes(look: Look, homes: readonly string[]): Outside[] {
  return homes.flatMap((home) =>
    MANAGERS.flatMap(({ what, folder, depth }) =>
      [...versionsBelow(look, `${home === "/" ? "" : home}/${folder}`, depth)].map((path) => ({ path, bytes: 0, sha256: "", what: `${what} ${path.slice(home.length + folder.length + 2)}` })),
    ),
  );
}

/** By path; programs in /usr/local and /opt, and what version managers put into homes. */
export function readOutside(look: Look, ownership: Ownership, users: Profile["users"], budget: Budget): Outside[] {
  const homes = [...new Set(users.filter(({ system, uid }) => !system || uid === 0).map(({ home }) => home))].filter((home) => home.startsWith("/"));
  const quiet = look.quietly();
  return [...readRuntimes(quiet, homes), ...readPrograms(look, ownership, budget)].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
