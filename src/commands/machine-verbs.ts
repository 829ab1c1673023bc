/** The verbs about what a server is: its profile, how it drifted, what a replacement must offer. */
import { EXIT } from "../errors.ts";
import { type Command, defineCommand, type ExitCodes } from "./command.ts";
import * as options from "./verb-options.ts";

const READING_CONFLICTS = [["config", "kit"]] as const;

/** `common` may end any verb; `notTrusted` says what exit 5 means where signatures are checked. */
export function machineVerbs(common: ExitCodes, notTrusted: string): Command[] {
  const profile = defineCommand({
    name: "profile",
    summary: "show what this machine is, or what an archive's machine was",
    options: options.PROFILE_OPTIONS,
    conflicts: READING_CONFLICTS,
    check: (_args, given) => options.checkReading(given),
    exitCodes: { [EXIT.done]: "shown; what could not be found out is named", ...common, [EXIT.refused]: notTrusted },
    examples: [
      ["coldkeep profile", "this machine now, and what no source covers"],
      ["coldkeep profile --archive latest --json", "as it was when it was archived, for a program"],
    ],
    load: () => import("./profile.ts"),
  });
  const drift = defineCommand({
    name: "drift",
    summary: "how this machine differs from what its newest archive says of it",
    options: options.DRIFT_OPTIONS,
    exitCodes: { [EXIT.done]: "no drift", ...common, [EXIT.threshold]: "something differs: it is named", [EXIT.refused]: notTrusted },
    examples: [
      ["coldkeep drift", "packages, configuration, units, users, ports, mounts since the last backup"],
      ["coldkeep drift --archive 20261123 --json", "since an older one, for a program"],
    ],
    load: () => import("./drift.ts"),
  });
  const requirements = defineCommand({
    name: "requirements",
    summary: "what a replacement must offer, compared with this machine",
    options: options.REQUIREMENTS_OPTIONS,
    conflicts: READING_CONFLICTS,
    check: (_args, given) => options.checkReading(given),
    exitCodes: { [EXIT.done]: "adequate", ...common, [EXIT.threshold]: "adequate with waivers, which are named", [EXIT.refused]: "not adequate: what stands in the way is named; or a signature is not by a pinned signer" },
    examples: [
      ["coldkeep requirements --kit coldkeep-kit.txt", "on the new machine, before anything is downloaded or changed"],
      ["coldkeep requirements --kit coldkeep-kit.txt --accept memory --accept space", "less memory and less room will do"],
    ],
    load: () => import("./requirements.ts"),
  });
  return [profile, drift, requirements];
}
