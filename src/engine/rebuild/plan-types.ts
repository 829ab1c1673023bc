/** What a rebuild is about to do, as a plain value: shown to a person, kept in the journal, gone by when it is resumed. */
import type { Adequacy } from "../../policy/adequacy.ts";
import type { DataFact } from "../../format/data-facts.ts";
import type { Renumbered } from "../../policy/account-plan.ts";
import type { PackagePlan } from "../../policy/package-plan.ts";

/** The steps in their order. */
export const STEPS = ["users", "packages", "files", "databases", "services", "health"] as const;
export type StepName = (typeof STEPS)[number];

export type RebuildPlan = {
  vault: string;
  host: string;
  archive: string;
  /** ISO time. */
  archiveStartedAt: string;
  /** Archives that are newer and right in no region, where the latest was asked for. */
  passedOver: string[];
  /** Name of the machine that is rebuilt, as it is now. */
  machine: string;
  adequacy: Adequacy;
  /** Which steps are made. */
  steps: StepName[];
  /** Where the archived configuration and its keys lie. */
  configPath: string;
  keysDir: string;
  users: { add: string[]; groups: string[]; renumbered: Renumbered[] };
  packages: PackagePlan | null;
  /** What is wrong with single package sources. */
  sourceFaults: string[];
  files: { entries: number; files: number; bytes: number; volumes: number; storedBytes: number };
  /** What stays as this machine has it, of what the archive holds. */
  untouched: { what: string; /** Whether it is laid out for comparison. */ review: boolean; paths: string[] }[];
  /** Patterns of what is not restored. */
  leaveOut: string[];
  databases: DataFact[];
  services: { enable: string[]; disable: string[]; mask: string[]; start: string[] };
  checks: string[];
  /** What has to be entered again by hand. */
  reenter: { path: string; why: string }[];
  /** The last drill with services that passed: when, and how long it took, ms. */
  lastDrill: { at: string; rtoMs: number | null } | null;
  rtoObjectiveMs: number | null;
  /** Folder of .deb files in place of package sources. */
  packagesFrom: string | null;
  takeOver: boolean;
};

/** What a person should know of a step. `lacks`: what did not come back. */
export type StepNotes = { notes: string[]; lacks: string[] };
