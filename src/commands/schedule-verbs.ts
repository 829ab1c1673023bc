/** The verbs of `coldkeep schedule`, as the help shows them. */
import { EXIT } from "../errors.ts";
import { type CommandGroup, defineCommand, type ExitCodes } from "./command.ts";
import { SCHEDULE_OPTIONS, SCHEDULE_STATUS_OPTIONS } from "./verb-options.ts";

const FLAVOURS = [["systemd", "cron"]] as const;
const REFUSED = "refused: not run by root, or a file lies there that coldkeep did not write";

/** `commonExits`: what may end any verb. */
export function scheduleVerbs(commonExits: ExitCodes): CommandGroup {
  return {
    name: "schedule",
    summary: "have backups run by themselves, by systemd or cron",
    subcommands: [
      defineCommand({
        name: "print",
        summary: "print the units or the crontab that install would write; writes nothing",
        options: SCHEDULE_OPTIONS,
        conflicts: FLAVOURS,
        exitCodes: { [EXIT.done]: "printed", ...commonExits },
        examples: [
          ["coldkeep schedule print", "what this machine would get"],
          ["coldkeep schedule print --systemd --user coldkeep", "units that run as a user who may only read"],
        ],
        load: async () => ({ run: (await import("./schedule.ts")).runPrint }),
      }),
      defineCommand({
        name: "install",
        summary: "write the units or the crontab, and switch them on",
        options: SCHEDULE_OPTIONS,
        conflicts: FLAVOURS,
        exitCodes: { [EXIT.done]: "installed, or already was", ...commonExits, [EXIT.refused]: REFUSED },
        examples: [
          ["coldkeep schedule install", "every night, at the configuration's time"],
          ["coldkeep schedule install --cron --at 02:30,14:30", "twice a day, by cron"],
        ],
        load: async () => ({ run: (await import("./schedule.ts")).runInstall }),
      }),
      defineCommand({
        name: "remove",
        summary: "take away what install wrote",
        options: SCHEDULE_STATUS_OPTIONS,
        exitCodes: { [EXIT.done]: "removed, or nothing was there", ...commonExits, [EXIT.refused]: REFUSED },
        examples: [
          ["coldkeep schedule remove", "no run starts by itself any more; one under way ends as usual"],
          ["coldkeep schedule remove --config /srv/coldkeep.yaml", "of another configuration"],
        ],
        load: async () => ({ run: (await import("./schedule.ts")).runRemove }),
      }),
      defineCommand({
        name: "status",
        summary: "say whether a schedule is installed, when it runs next, and how it ended last",
        options: SCHEDULE_STATUS_OPTIONS,
        exitCodes: { [EXIT.done]: "said", ...commonExits, [EXIT.refused]: "refused: a file lies there that coldkeep did not write" },
        examples: [
          ["coldkeep schedule status", "for a person"],
          ["coldkeep schedule status --json", "for a program"],
        ],
        load: async () => ({ run: (await import("./schedule.ts")).runStatus }),
      }),
    ],
  };
}
