/** What a program is asked to do in a row of the table. */
import type { Measured } from "../measure.ts";

/** How deep stored archives are checked: sizes, digests of what is stored, or what comes out when it is decrypted. */
export type Depth = "presence" | "checksum" | "content";

/** One program with a vault of its own for one source. It lacks the steps that it has no command for. */
export type Contestant = {
  readonly name: ContestantName;
  /** Makes the vault; not measured. */
  prepare?(): Promise<void>;
  backup?(): Promise<Measured>;
  /** Everything into `target`, where nothing lies, or an earlier restore. */
  restore?(target: string, onto: "nothing" | "earlier"): Promise<Measured>;
  /** One path into `target`, on a machine that has nothing cached. */
  restoreOne?(path: string, target: string): Promise<Measured>;
  verify?(depth: Depth): Promise<Measured>;
  list?(): Promise<Measured>;
  start?(): Promise<Measured>;
  /** Bytes of one full copy. */
  storedBytes?(): Promise<number>;
};

export const CONTESTANTS = ["coldkeep", "restic", "tar|zstd|age", "node -e 0"] as const;
export type ContestantName = (typeof CONTESTANTS)[number];
