/** The completion scripts, in the shells they are for. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/commands/registry.ts";
import { runColdkeep } from "../support/program.ts";
import { fileTempDir } from "../support/temp-dir.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** Every line the shells are asked about. */
const LINES = [
  "coldkeep ",
  "coldkeep config ",
  "coldkeep -q config ",
  "coldkeep backup --",
  "coldkeep config check --",
  "coldkeep ls --lon",
  "coldkeep verify --level ",
  "coldkeep verify --json --level ch",
  "coldkeep restore --kit m",
  "coldkeep restore --to ",
  "coldkeep restore --host ",
] as const;

let dir: string;
const script = (shell: Shell): string => join(dir, `completion.${shell}`);

beforeAll(async () => {
  dir = fileTempDir();
  mkdirSync(join(dir, "work/folder"), { recursive: true });
  writeFileSync(join(dir, "work/my kit.txt"), "");
  await Promise.all(SHELLS.map(async (shell) => writeFileSync(script(shell), (await runColdkeep(["completion", shell])).stdout)));
});

function inShell(command: string, args: string[]): string {
  const run = spawnSync(command, args, { cwd: join(dir, "work"), encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", HOME: dir, TERM: "dumb", LC_ALL: "C.UTF-8" }, timeout: 20_000 });
  if (run.status !== 0 || run.stderr !== "") throw new Error(`${command}: status ${run.status}: ${run.stderr}`);
  return run.stdout;
}

const lines = (text: string): string[] => text.split("\n").map((line) => line.trim()).filter((line) => line !== "");

/** What Tab offers after a line, its last word begun; each shell is asked in its own way. */
const offers: Record<Shell, (line: string) => string[]> = {
  bash(line) {
    // As readline does it: `=` is a word of its own.
    const words = line.split(" ").flatMap((word) => word.split(/(=)/)).filter((word, i, all) => word !== "" || i === all.length - 1);
    const list = words.map((word) => `'${word}'`).join(" ");
    return lines(inShell("bash", ["--norc", "-c", `source ${script("bash")}; complete -p coldkeep >/dev/null || exit 9; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _coldkeep; printf '%s\\n' "\${COMPREPLY[@]}"`]));
  },
  fish: (line) => lines(inShell("fish", ["--no-config", "-c", `source ${script("fish")}; complete -C '${line}'`])).map((offer) => offer.split("\t")[0] ?? ""),
  zsh: (line) => (zshOffers ??= askZsh(LINES)).get(line) ?? ["the line is not in LINES"],
};

let zshOffers: Map<string, string[]> | undefined;

/** Only its line editor completes: it gets a terminal, one for all lines, and writes what it would list into files. */
function askZsh(asked: readonly string[]): Map<string, string[]> {
  const setup = join(dir, "setup.zsh");
  writeFileSync(setup, `
    PS1=; LISTMAX=10000; autoload -U compinit; compinit -C -d ${dir}/zcompdump; source ${script("zsh")}
    integer turn=0
    compadd() {
      local -a caught
      if ! (( $@[(I)-(O|A|D)*] )); then builtin compadd -O caught "$@"; print -l -- $caught >>${dir}/offered.$turn; fi
      builtin compadd "$@"
    }
    asked() { zle complete-word; : >${dir}/done.$turn; turn+=1; zle kill-whole-line }
    zle -N asked; bindkey '^X' asked`);
  inShell("zsh", ["-f", "-c", `
    zmodload zsh/zpty zsh/zselect
    zpty -b z zsh -f -i
    zpty -w z "source ${setup}; print LIS''TENING"
    while [[ $all != *LISTENING* ]]; do zpty -r z piece && all+=$piece || zselect -t 1; done
    integer turn=0
    for words in ${asked.map((line) => `'${line}'`).join(" ")}; do
      zpty -n -w z $words$'\x18'
      while [[ ! -e ${dir}/done.$turn ]]; do zpty -r z piece || zselect -t 1; done
      turn+=1
    done
    zpty -d z`]);
  const offered = (index: number): string => join(dir, `offered.${index}`);
  return new Map(asked.map((line, index) => [line, existsSync(offered(index)) ? [...new Set(lines(readFileSync(offered(index), "utf8")))] : []]));
}

const verbs = COMMANDS.flatMap((each) => [each.name, ...(each.subcommands === undefined ? (each.aliases ?? []) : [])]).toSorted();

describe.each(SHELLS)("%s", (shell) => {
  const offer = (line: string): string[] => offers[shell](line).toSorted();

  test("takes the script", () => {
    if (shell === "fish") inShell("fish", ["--no-execute", script(shell)]);
    else inShell(shell, ["-n", script(shell)]);
  });

  test("completes every verb, and the second words of a group", () => {
    expect(offer("coldkeep ")).toEqual(expect.arrayContaining(verbs));
    expect(offer("coldkeep config ")).toEqual(expect.arrayContaining(["check", "schema", "show"]));
    expect(offer("coldkeep -q config ")).toEqual(expect.arrayContaining(["check", "schema", "show"]));
  });

  test("completes the options of a verb, and of no other", () => {
    const options = offer("coldkeep backup --");
    expect(options).toEqual(expect.arrayContaining(["--config", "--dry-run", "--take-over", "--json", "--help", "--no-color"]));
    expect(options).not.toContain("--level");
    expect(offer("coldkeep config check --")).toContain("--config");
    expect(offer("coldkeep ls --lon")).toEqual(["--long"]);
  });

  test("completes words to choose from, files and directories, and nothing where only a person knows", () => {
    expect(offer("coldkeep verify --level ")).toEqual(["checksum", "content", "presence"]);
    expect(offer("coldkeep verify --json --level ch")).toContain("checksum");
    expect(offer("coldkeep restore --kit m").join()).toMatch(/my(\\)? kit\.txt/);
    expect(offer("coldkeep restore --to ").map((path) => path.replace(/\/$/, ""))).toEqual(["folder"]);
    expect(offer("coldkeep restore --host ")).toEqual([]);
  });
});

test("bash completes the value of --option=", () => {
  expect(offers.bash("coldkeep verify --level=")).toEqual(["presence", "checksum", "content"]);
  expect(offers.bash("coldkeep verify --level=co")).toEqual(["content"]);
});
