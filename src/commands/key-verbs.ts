/** The verbs about keys: who can open the archives, and whose signatures count. */
import { ColdkeepError, EXIT } from "../errors.ts";
import { type CommandGroup, defineCommand, type ExitCodes } from "./command.ts";
import type { KeyRotateOptions } from "./verb-options.ts";
import * as options from "./verb-options.ts";

const OPEN_TO_OTHERS = "refused: a file of secrets is open to others";

/** `common` may end any verb; `notTrusted` says what exit 5 means where signatures are checked. */
export function keyVerbs(common: ExitCodes, notTrusted: string): CommandGroup {
  return {
    name: "key",
    summary: "care for the identities that open the archives",
    subcommands: [
      defineCommand({
        name: "new",
        summary: "make an identity, in a file of its own or in a kit of the vault; prints its recipient",
        options: options.KEY_NEW_OPTIONS,
        conflicts: [["kit", "config"]],
        exitCodes: { [EXIT.done]: "made", ...common, [EXIT.refused]: "refused: the file is there already, or the kit is open to others" },
        examples: [
          ["coldkeep key new --kit coldkeep-kit.txt --to second-kit.txt --protect", "a second recipient, for a person or place of its own"],
          ["coldkeep key new --to identity.txt", "an identity file as age-keygen makes them"],
        ],
        load: async () => ({ run: (await import("./key.ts")).runNew }),
      }),
      defineCommand({
        name: "show",
        summary: "show recipients, signers, their fingerprints and who holds what; never a secret",
        options: options.KEY_SHOW_OPTIONS,
        exitCodes: { [EXIT.done]: "shown", ...common, [EXIT.refused]: OPEN_TO_OTHERS },
        examples: [
          ["coldkeep key show", "this host's configuration and keys"],
          ["coldkeep key show --kit coldkeep-kit.txt --json", "what a kit holds, for a program"],
        ],
        load: async () => ({ run: (await import("./key.ts")).runShow }),
      }),
      defineCommand({
        name: "check",
        summary: "say which archives the kit's identities open, without downloading them",
        options: options.KEY_CHECK_OPTIONS,
        exitCodes: { [EXIT.done]: "they open every archive", ...common, [EXIT.failed]: "they do not open a host's newest archive, or it has none", [EXIT.partial]: "they open the newest archives, but not every older one", [EXIT.refused]: notTrusted },
        examples: [
          ["coldkeep key check --kit coldkeep-kit.txt", "after a rotation, and before an old kit is destroyed"],
          ["coldkeep key check --kit second-kit.txt --config /etc/coldkeep/coldkeep.yaml", "whether a second recipient is in use"],
        ],
        load: async () => ({ run: (await import("./key.ts")).runCheck }),
      }),
      defineCommand({
        name: "rotate",
        summary: "put a new identity in the place of one, from the next archive on",
        options: options.KEY_ROTATE_OPTIONS,
        conflicts: [["recipient", "kit"], ["recipient", "to"]],
        check: (_args, given) => checkRotate(given),
        exitCodes: { [EXIT.done]: "rotated", ...common, [EXIT.refused]: "refused: the kit is of others, open to others, or its new file is there already" },
        examples: [
          ["coldkeep key rotate --kit coldkeep-kit.txt --to new-kit.txt", "on the host: a new kit, which opens old archives too, and the configuration"],
          ["coldkeep key rotate --recipient age1…", "on the other hosts of the vault"],
        ],
        load: async () => ({ run: (await import("./key.ts")).runRotate }),
      }),
    ],
  };
}

/** Throws E_USAGE. */
function checkRotate({ kit, to, recipient }: KeyRotateOptions): void {
  if (recipient !== undefined || (kit !== undefined && to !== undefined)) return;
  const missing = kit === undefined && to === undefined ? "--kit and --to are" : kit === undefined ? "--kit is" : "--to is";
  throw new ColdkeepError("E_USAGE", `${missing} missing`, { hint: "Give --kit FILE and --to FILE for a new identity, or --recipient age1… for one that was made elsewhere." });
}

/** As `keyVerbs`. */
export function signerVerbs(common: ExitCodes, notTrusted: string): CommandGroup {
  return {
    name: "signer",
    summary: "care for the keys whose signatures count",
    subcommands: [
      defineCommand({
        name: "list",
        summary: "list the pinned signers: role, host, fingerprint, and where they are pinned",
        options: options.SIGNER_LIST_OPTIONS,
        exitCodes: { [EXIT.done]: "listed", ...common, [EXIT.refused]: OPEN_TO_OTHERS },
        examples: [
          ["coldkeep signer list", "this host's own, and what its configuration adds"],
          ["coldkeep signer list --kit coldkeep-kit.txt --json", "whom a kit trusts, for a program"],
        ],
        load: async () => ({ run: (await import("./signer.ts")).runList }),
      }),
      defineCommand({
        name: "trust",
        summary: "pin a signer in the kit, the configuration or both, once its fingerprint is confirmed",
        arguments: "<signer...>",
        argumentsHelp: "`host LABEL ed25519:…`, `operator ed25519:…` or `drill ed25519:…`",
        options: options.SIGNER_TRUST_OPTIONS,
        exitCodes: { [EXIT.done]: "pinned, or was before", ...common, [EXIT.refused]: "refused: the fingerprint is another one, or the kit is open to others" },
        examples: [
          ["coldkeep signer trust host web2 ed25519:… --kit coldkeep-kit.txt", "asks whether the fingerprint is the one that the host shows"],
          ["coldkeep signer trust host web2 ed25519:… --kit coldkeep-kit.txt --fingerprint 0123456789abcdef", "without a terminal"],
        ],
        load: async () => ({ run: (await import("./signer.ts")).runTrust }),
      }),
      defineCommand({
        name: "revoke",
        summary: "record that a host's signer was stolen: what it signed after its last good archive is void",
        arguments: "<signer>",
        argumentsHelp: "the public key `ed25519:…`, or its fingerprint",
        options: options.SIGNER_REVOKE_OPTIONS,
        exitCodes: { [EXIT.done]: "recorded in every region", ...common, [EXIT.partial]: "recorded, but not in every region", [EXIT.refused]: notTrusted },
        examples: [
          ["coldkeep signer revoke 0123456789abcdef --last 20261123 --kit coldkeep-kit.txt", "the archive of that day, and all it follows, stay valid"],
          ["coldkeep signer revoke ed25519:… --host web1 --last 20261123 --kit coldkeep-kit.txt --reason stolen", "by its key"],
        ],
        load: async () => ({ run: (await import("./signer.ts")).runRevoke }),
      }),
    ],
  };
}
