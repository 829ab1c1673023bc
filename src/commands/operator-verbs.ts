/** The verbs of whoever holds the kit: what archives stay, the kit itself, the hosts of the vault, the program on its way to a bare machine. */
import { ColdkeepError, EXIT } from "../errors.ts";
import { type Command, type CommandGroup, defineCommand, type ExitCodes } from "./command.ts";
import { keyVerbs, signerVerbs } from "./key-verbs.ts";
import * as options from "./verb-options.ts";

/** `common` may end any verb; `notTrusted` says what exit 5 means where signatures are checked. */
export function operatorVerbs(common: ExitCodes, notTrusted: string): (Command | CommandGroup)[] {
  return [...retentionVerbs(common, notTrusted), repair(common, notTrusted), kitVerbs(common), keyVerbs(common, notTrusted), signerVerbs(common, notTrusted), hostVerbs(common, notTrusted), publishProgram(common)];
}

const SIGNING_CONFLICTS = [["config", "kit"]] as const;

function retentionVerbs(common: ExitCodes, notTrusted: string): Command[] {
  const prune = defineCommand({
    name: "prune",
    summary: "end the archives that a rule does not keep, and free what they alone needed",
    options: options.PRUNE_OPTIONS,
    conflicts: SIGNING_CONFLICTS,
    record: ({ dryRun, config, kit, host }) => (dryRun ? null : { verb: "prune", config, kit, host }),
    exitCodes: {
      [EXIT.done]: "done, or nothing was to be done; what a lock keeps is named",
      ...common,
      [EXIT.failed]: "failed; nothing is deleted while a region does not answer",
      [EXIT.refused]: "refused: something among a host's manifests or records cannot be verified, and may need everything",
    },
    examples: [
      ["coldkeep prune --kit coldkeep-kit.txt --keep daily=7,weekly=4,monthly=12 --dry-run", "what would become of each archive of every host, and why"],
      ["coldkeep prune", "on a host whose configuration has `retention: {daily: 7, signedBy: host}`"],
    ],
    load: () => import("./prune.ts"),
  });
  const held = { [EXIT.done]: "recorded in every region, or was before", ...common, [EXIT.partial]: "recorded, but not in every region", [EXIT.refused]: notTrusted };
  const hold = defineCommand({
    name: "hold",
    summary: "keep an archive whatever the rule says, until it is released",
    options: options.HOLD_OPTIONS,
    conflicts: SIGNING_CONFLICTS,
    check: (_args, { reason }) => {
      if (reason === undefined) throw new ColdkeepError("E_USAGE", "--reason is missing", { hint: "Say why with --reason TEXT: whoever finds the hold in a year will ask." });
    },
    exitCodes: held,
    examples: [
      ['coldkeep hold --archive 20261123 --reason "before the migration" --kit coldkeep-kit.txt', "no prune ends it"],
      ["coldkeep hold --archive latest --reason audit --host web1 --kit coldkeep-kit.txt --json", "of one host of several, for a program"],
    ],
    load: async () => ({ run: (await import("./hold.ts")).runHold }),
  });
  const release = defineCommand({
    name: "release",
    summary: "end the holds of an archive: the rule applies to it again",
    options: options.HOLD_OPTIONS,
    conflicts: SIGNING_CONFLICTS,
    exitCodes: held,
    examples: [
      ["coldkeep release --archive 20261123 --kit coldkeep-kit.txt", "the next prune judges it"],
      ["coldkeep release --archive 20261123 --reason settled --kit coldkeep-kit.txt --json", "for a program"],
    ],
    load: async () => ({ run: (await import("./hold.ts")).runRelease }),
  });
  return [prune, hold, release];
}

function repair(common: ExitCodes, notTrusted: string): Command {
  return defineCommand({
    name: "repair",
    summary: "copy what a region has missing or damaged from another that has it right; needs no key that decrypts",
    options: options.REPAIR_OPTIONS,
    conflicts: SIGNING_CONFLICTS,
    record: ({ dryRun, config, kit, host }) => (dryRun ? null : { verb: "repair", config, kit, host }),
    exitCodes: {
      [EXIT.done]: "every region is whole, or now is; of --dry-run: or could be made so",
      ...common,
      [EXIT.partial]: "something is lost in every region, or a region did not answer or did not take a copy; it is named",
      [EXIT.refused]: notTrusted,
    },
    examples: [
      ["coldkeep repair --dry-run", "what would be copied from where, for this host"],
      ["coldkeep repair --kit coldkeep-kit.txt --region north", "one region, for every host of the kit; what is lost everywhere is recorded"],
    ],
    load: () => import("./repair.ts"),
  });
}

function kitVerbs(common: ExitCodes): CommandGroup {
  return {
    name: "kit",
    summary: "print the kit, add to it, prove that it opens the archives",
    subcommands: [
      defineCommand({
        name: "print",
        summary: "print the kit for paper: text or a page, with QR codes",
        options: options.KIT_PRINT_OPTIONS,
        exitCodes: { [EXIT.done]: "printed", ...common, [EXIT.refused]: "refused: the kit is open to others, or the file is there already" },
        examples: [
          ["coldkeep kit print --kit coldkeep-kit.txt --html --to kit.html", "a page for the printer"],
          ["coldkeep kit print --kit coldkeep-kit.txt --with-read-credentials", "one that needs nothing beside it"],
        ],
        load: async () => ({ run: (await import("./kit.ts")).runPrint }),
      }),
      defineCommand({
        name: "add-signer",
        summary: "trust another signer: the line that `coldkeep init` printed on a host",
        arguments: "<signer...>",
        argumentsHelp: "`host LABEL ed25519:…`, `operator ed25519:…` or `drill ed25519:…`",
        options: options.KIT_ADD_SIGNER_OPTIONS,
        exitCodes: { [EXIT.done]: "in the kit, or was before", ...common, [EXIT.refused]: "refused: the kit is open to others" },
        examples: [
          ["coldkeep kit add-signer host web2 ed25519:… --kit coldkeep-kit.txt", "after a second host joined the vault"],
          ["coldkeep kit add-signer drill ed25519:… --kit coldkeep-kit.txt --json", "for a program"],
        ],
        load: async () => ({ run: (await import("./kit.ts")).runAddSigner }),
      }),
      defineCommand({
        name: "check",
        summary: "prove that the kit opens the newest archive of each host",
        options: options.KIT_CHECK_OPTIONS,
        exitCodes: { [EXIT.done]: "it opens them all", ...common, [EXIT.failed]: "it does not open one, or a host has none", [EXIT.refused]: "refused: the kit is open to others" },
        examples: [
          ["coldkeep kit check --kit coldkeep-kit.txt", "every few weeks, where the kit is kept"],
          ["coldkeep kit check --kit coldkeep-kit.txt --region north --json", "that one region alone would do"],
        ],
        load: async () => ({ run: (await import("./kit.ts")).runCheck }),
      }),
      defineCommand({
        name: "protect",
        summary: "put the kit's secrets under a passphrase, or under another one",
        options: options.KIT_PROTECT_OPTIONS,
        exitCodes: { [EXIT.done]: "protected", ...common, [EXIT.refused]: "refused: the kit is open to others" },
        examples: [
          ["coldkeep kit protect --kit coldkeep-kit.txt", "asks for a passphrase; regions and signers stay readable"],
          ["coldkeep kit protect --kit coldkeep-kit.txt --new-passphrase-file <(pass show coldkeep)", "from a password manager"],
        ],
        load: async () => ({ run: (await import("./kit.ts")).runProtect }),
      }),
    ],
  };
}

function hostVerbs(common: ExitCodes, notTrusted: string): CommandGroup {
  return {
    name: "host",
    summary: "say what is to be thought of a host",
    subcommands: [
      defineCommand({
        name: "retire",
        summary: "record that a host makes no more archives: its silence is then no alarm",
        arguments: "<label>",
        argumentsHelp: "the host's label in the vault",
        options: options.HOST_RETIRE_OPTIONS,
        exitCodes: { [EXIT.done]: "recorded in every region, or was before", ...common, [EXIT.partial]: "recorded, but not in every region", [EXIT.refused]: notTrusted },
        examples: [
          ["coldkeep host retire web1 --kit coldkeep-kit.txt --reason replaced", "its archives stay"],
          ["coldkeep host retire web1 --kit coldkeep-kit.txt --json", "for a program"],
        ],
        load: async () => ({ run: (await import("./host.ts")).runRetire }),
      }),
    ],
  };
}

function publishProgram(common: ExitCodes): Command {
  return defineCommand({
    name: "publish-program",
    summary: "put the single executable into every region, for a bare machine",
    options: options.PUBLISH_PROGRAM_OPTIONS,
    exitCodes: {
      [EXIT.done]: "every region holds it",
      ...common,
      [EXIT.failed]: "failed, or no region holds it",
      [EXIT.partial]: "a region is missing it",
      [EXIT.refused]: "refused: the keys of this host are open to others",
    },
    examples: [
      ["coldkeep publish-program", "the executable that runs; prints the line the kit should have"],
      ["coldkeep publish-program --program ./dist/single/coldkeep", "another one, from an installation"],
    ],
    load: () => import("./publish-program.ts"),
  });
}
