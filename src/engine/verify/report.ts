/** What a check found, region by region and as a whole. */
import { EXIT, type ExitStatus } from "../../errors.ts";
import type { ObjectKind } from "../../format/object-key.ts";
import { type LockReport, lockFaults } from "./lock-check.ts";

export const VERIFY_LEVELS = ["presence", "checksum", "content"] as const;
export type VerifyLevel = (typeof VERIFY_LEVELS)[number];

/** Something a region holds wrong, or not at all. `object` is its id, `key` where it lies in the region. */
export type RegionProblem = { object: string; kind: ObjectKind | "manifest"; key: string; what: string };

export type RegionReport = {
  /** `behind`: it lacks archives another region holds, and holds nothing that is damaged. */
  state: "sound" | "damaged" | "behind" | "unreachable";
  objectsChecked: number;
  bytesChecked: number;
  problems: RegionProblem[];
  /** Objects that are there, in a class that must be thawed before their bytes can be read. */
  frozen: number;
  /** Locks of what the newest of the archives needs, where the configuration asks for them. */
  locks: LockReport | null;
  /** Why it is unreachable. */
  reason?: string;
};

export type ArchiveReport = {
  id: string;
  host: string;
  status: string;
  /** Listed objects, and their bytes. */
  objects: number;
  bytes: number;
  /** What is wrong with the archive itself, whichever region it is read from. */
  faults: string[];
};

/** What no region holds right any more. */
export type LostObject = {
  object: string;
  kind: ObjectKind | "manifest";
  what: string;
  /** Archives that need it. */
  archives: string[];
  /** Files that cannot be restored, of the newest of those archives; the first few, and how many there are. */
  paths: string[];
  pathsTotal: number;
};

export type VerifyReport = {
  level: VerifyLevel;
  archives: ArchiveReport[];
  regions: Record<string, RegionReport>;
  lost: LostObject[];
  /** Bad in every region that answered, while another did not answer. */
  uncertain: RegionProblem[];
  /** Volumes that none of the kit's identities opens. */
  locked: string[];
  /** Regions that hold right everything that is wrong in another. */
  repairableFrom: string[];
  durationMs: number;
  exitStatus: ExitStatus;
};

/** Exit status: 1 when something is lost or could not be checked as asked, 3 when a region is not as it should be. */
export function verifyStatus(report: Omit<VerifyReport, "exitStatus">): ExitStatus {
  const states = Object.values(report.regions).map(({ state }) => state);
  const hasFaults = report.archives.some(({ faults }) => faults.length > 0);
  if (report.lost.length > 0 || report.locked.length > 0 || hasFaults || states.every((state) => state === "unreachable")) return EXIT.failed;
  const isAsAsked = Object.values(report.regions).every(({ frozen, locks }) => frozen === 0 && (locks === null || lockFaults(locks) === 0));
  return isAsAsked && states.every((state) => state === "sound") ? EXIT.done : EXIT.partial;
}
