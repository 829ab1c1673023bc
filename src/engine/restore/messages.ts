/**
 * What the threads of a restore say to each other.
 *
 *   main ─ plan ──────────────▶ plan worker     catalog → one work list a volume
 *   main ─ job ───────────────▶ unpack worker   reads its list, leaves out what is proven on disk, says which bytes it needs
 *   main ◀─ need ────────────── unpack worker
 *   main ─ bytes ─────────────▶ unpack worker   checks, decrypts, decompresses, writes
 *   main ─ finish ────────────▶ unpack worker   large files, hard links, symbolic links, directories
 */
import type { Loss } from "../../disk/losses.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { PortableError } from "../portable-error.ts";

/** Files of a plan, in the journal folder. */
export const LISTS = { large: "large.ndjson", links: "links.ndjson", symlinks: "symlinks.ndjson", directories: "directories.ndjson", local: "local.ndjson" } as const;

export type PlanSetup = {
  catalogDir: string;
  segments: SegmentReference[];
  /** Entry paths wanted, with all below them; empty: everything. */
  paths: string[];
  planDir: string;
};

export type RestorePlan = {
  entries: number;
  files: number;
  /** Sum of the sizes of files with content of their own. */
  bytes: number;
  /** Volumes needed, in the order they are met. */
  volumes: string[];
};

export type PlanToMain = { kind: "planned"; plan: RestorePlan } | { kind: "error"; error: PortableError };

export type UnpackSetup = {
  target: string;
  /** Tells the partial files of this restore from others'. */
  archiveId: string;
  planDir: string;
  identities: string[];
  numericOwner: boolean;
  /** Entries may lie there already: of an earlier try, or to be overwritten. */
  merge: boolean;
};

/** Bytes of the stored object, from its start. */
export type ByteRange = { offset: number; length: number };

export type MainToUnpack =
  | { kind: "job"; job: number; object: ListedObject | null; list: string }
  | { kind: "bytes"; job: number; range: number; bytes: ArrayBuffer; region: string }
  /** No region has the bytes right: the files they belong to are lost. */
  | { kind: "unavailable"; job: number }
  /** No more jobs: account for what could not be given back. */
  | { kind: "close" }
  /** The same, after the end of the restore was done. One thread gets it, once all others are closed. */
  | { kind: "finish"; lost: string[]; isResumed: boolean };

export type UnpackToMain =
  /** `whole`: a single range that is the whole object, checked by its digest. The first range is the head otherwise. */
  | { kind: "need"; job: number; ranges: ByteRange[]; whole: boolean }
  | { kind: "taken"; job: number; range: number }
  | { kind: "bad"; job: number; range: number; region: string; message: string }
  | { kind: "done"; job: number; bytes: number; files: number; lost: string[] }
  | { kind: "finished"; lost: string[]; losses: Loss[] }
  | { kind: "error"; error: PortableError };
