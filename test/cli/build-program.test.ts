import { describe, expect, test } from "vitest";
import { parseArgv } from "../../src/cli/build-program.ts";
import { type Command, type CommandContext, defineCommand } from "../../src/commands/command.ts";
import { choice, flag, list, requiredText, text } from "../../src/commands/options.ts";
import { COMMANDS } from "../../src/commands/registry.ts";
import { ColdkeepError, EXIT } from "../../src/errors.ts";

const KEY = `ed25519:${Buffer.alloc(32, 1).toString("base64")}`;

function usageError(line: string): ColdkeepError {
  try {
    parseArgv(line.split(" "), COMMANDS, "1.2.3");
  } catch (error) {
    if (error instanceof ColdkeepError && error.code === "E_USAGE") return error;
    throw error;
  }
  throw new Error(`was accepted: ${line}`);
}

const verbs = COMMANDS.flatMap((each): [string, Command][] =>
  each.subcommands === undefined ? [[each.name, each]] : each.subcommands.map((sub): [string, Command] => [`${each.name} ${sub.name}`, sub]),
);

describe("the help", () => {
  test("of every verb ends with its exit codes and two examples that parse", () => {
    expect(verbs.map(([name]) => name)).toEqual(["init", "backup", "list", "files", "show", "diff", "verify", "restore", "status", "report", "doctor", "health", "drill", "profile", "drift", "requirements", "schedule print", "schedule install", "schedule remove", "schedule status", "prune", "hold", "release", "repair", "kit print", "kit add-signer", "kit check", "kit protect", "key new", "key show", "key check", "key rotate", "signer list", "signer trust", "signer revoke", "host retire", "publish-program", "state rebuild", "config check", "config schema", "config show", "notify test", "completion bash", "completion zsh", "completion fish"]);
    for (const [name, command] of verbs) {
      const help = parseArgv([...name.split(" "), "--help"], COMMANDS, "1.2.3");
      expect(help, name).toMatchObject({ kind: "help" });
      if (help.kind !== "help") continue;
      const end = help.text.slice(help.text.indexOf("Exit codes:"));
      expect(end, name).toMatch(/^Exit codes:\n {4}0 {2}\w.*\n {4}1 {2}\w.*\n {4}2 {2}\w[\s\S]*\n {2}130 {2}interrupted\n\nExamples:\n {2}coldkeep/);
      expect(command.examples, name).toHaveLength(2);
      for (const [line, what] of command.examples) {
        expect(end, name).toContain(`  ${line}\n      ${what}`);
        const [program, ...words] = (line.replace(/ > .*/, "").replace(/<\([^)]*\)/, "FILE").match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ""));
        expect(program).toBe("coldkeep");
        expect(parseArgv(words, COMMANDS, "1.2.3"), line).toMatchObject({ kind: "run" });
      }
    }
  });

  test("is printed unasked only where nothing was said of what to do", () => {
    expect(parseArgv([], COMMANDS, "1.2.3")).toMatchObject({ kind: "usage" });
    expect(parseArgv(["config"], COMMANDS, "1.2.3")).toMatchObject({ kind: "usage" });
    expect(parseArgv(["help", "backup"], COMMANDS, "1.2.3")).toMatchObject({ kind: "help" });
    expect(parseArgv(["backup", "--version"], COMMANDS, "1.2.3")).toEqual({ kind: "help", text: "1.2.3\n" });
  });
});

describe("a wrong command line is refused before anything happens", () => {
  test.each([
    ["bakup", /unknown command 'bakup'/, /Did you mean "backup"\?/],
    ["lss", /unknown command/, /"ls"/],
    ["config chek", /unknown command 'chek'/, /config --help.*"check"/],
    ["backup --dryrun", /unknown option '--dryrun'/, /"--dry-run"/],
    ["backup --verbos", /unknown option/, /"--verbose"/],
    ["backup extra", /too many arguments/, /backup --help/],
    ["list --kit", /--kit <FILE>.*missing/, /--help/],
    ["list --host=", /--host has an empty value/, /value/],
    ["list --host a --host b", /--host is given 2 times/, /once/],
    ["list --config a --kit b", /--config and --kit exclude each other/, /one of the two/],
    [`list --signer ${KEY}`, /--signer is given without/, /--region URL/],
    [`list --region north --signer ${KEY}`, /--signer is given without/, /--region URL/],
    ["list --region file:///x", /whom to trust/, /--signer KEY/],
    ["list --region file:///x --signer nonsense", /not a signer/, /ed25519/],
    ["backup --take-over --new-chain", /--take-over and --new-chain exclude/, /one of the two/],
    ["verify --all --archive x", /--archive and --all exclude/, /one of the two/],
    ["verify --level checksums", /--level cannot be "checksums"/, /Did you mean "checksum"\?/],
    ["verify --level content", /--kit is missing/, /--kit FILE/],
    ["verify --sample 0%", /--sample cannot be/, /percentage/],
    ["verify --sample 101", /--sample cannot be/, /percentage/],
    ["restore --kit k", /--to is missing/, /--to DIR/],
    ["restore --to d", /--kit is missing/, /--kit FILE/],
    ["restore etc --to d --kit k", /"etc" is not an absolute path/, /files/],
    ["diff --archive a", /--with is missing/, /--with B/],
    ["backup -q -v", /--quiet and --verbose exclude/, /one of the two/],
  ])("%s", (line, message, hint) => {
    const error = usageError(line);
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
  });
});

test("options reach the body with their types, from either side of the verb", async () => {
  const seen: unknown[] = [];
  const command = defineCommand({
    name: "try",
    summary: "tries",
    arguments: "[path...]",
    options: { takeOver: flag("f"), one: text("X", "t"), need: requiredText("X", "r"), many: list("X", "l"), level: choice(["low", "high"], "low", "c"), json: flag("j") },
    exitCodes: { [EXIT.done]: "done" },
    examples: [],
    load: async () => ({
      run: async (_context, args, options) => {
        seen.push(args, options);
        return EXIT.partial;
      },
    }),
  });
  const parsed = parseArgv(["-v", "try", "a", "--many", "1", "--need=-n", "--debug", "--json", "--many", "2", "--", "--one"], [command], "1");
  if (parsed.kind !== "run") throw new Error(parsed.text);
  expect(parsed.flags).toEqual({ quiet: false, verbose: true, debug: true, json: true, noColor: false });
  expect(seen).toEqual([]);
  // The body above looks at nothing of its context.
  expect(await parsed.run({ crash: new Promise<never>(() => {}) } as CommandContext)).toBe(EXIT.partial);
  expect(seen).toEqual([["a", "--one"], { takeOver: false, one: undefined, need: "-n", many: ["1", "2"], level: "low", json: true }]);
});
