/** The section about the machine itself: whether its profile goes along, and which data it need not speak of. */
import { z } from "zod";
import { path } from "./value-types.ts";

export type MachineConfig = {
  /** Whether archives hold a profile of the machine. */
  profile: boolean;
  /** Paths that nobody needs to be told of where no source covers them. */
  ignoreUncovered: string[];
};

const MachineKeys = z.strictObject({
  profile: z.boolean().prefault(true).describe("Whether each archive holds a profile of this machine: packages, users, services, sizes. No secret is in it."),
  ignoreUncovered: z.array(path).prefault([]).describe("Paths whose data need no source: they are not named as uncovered."),
});

/** A key for the top of the configuration. */
export const machine = MachineKeys.prefault({}).describe("What archives say of the machine, for drift, requirements and a rebuild.");

export const MACHINE_KEYS = Object.keys(MachineKeys.shape);
