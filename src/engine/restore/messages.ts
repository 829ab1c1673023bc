/**
 * What the threads of a restore say to each other.
 *
 *   main ─ plan ──────────────▶ plan worker     catalog → work lists, a few a volume
 *   main ─ setup ─────────────▶ unpack worker   what is restored where
 *   main ─ job ───────────────▶ unpack worker   reads its list, leaves out what is proven on disk, says which bytes it needs
 *   main ◀─ need ────────────── unpack worker
 *   main ─ bytes ─────────────▶ unpack worker   checks, decrypts, decompresses, writes
 *   main ◀─ head ────────────── unpack worker   main opens it and answers with the key
 *   main ◀─ bad ─────────────── unpack worker   main asks another region, or says that the bytes are unavailable
 *   main ─ unavailable ───────▶ unpack worker   needs smaller ranges, of which some may be right somewhere; else files are lost
 *   main ─ finish ────────────▶ unpack worker   large files, hard links, symbolic links, directories
 *   main ─ stop ──────────────▶ unpack worker   ends behind what it is writing; a flag they share says so past the messages that wait
 */
import type { AsideOrder } from "../../disk/aside.ts";
import type { Loss } from "../../disk/losses.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { IdMap } from "../../format/posix-acl.ts";
import type { PortableError } from "../portable-error.ts";

/** Files of a plan that are no work on a volume, in the journal folder. */
export const LISTS = {
  large: "large.ndjson",
  links: "links.ndjson",
  symlinks: "symlinks.ndjson",
  symlinkLinks: "symlink-links.ndjson",
  directories: "directories.ndjson",
  local: "local.ndjson",
  /** Entries whose own names look like this program's temporary ones. */
  lookalikes: "lookalikes.ndjson",
} as const;

/** A link that takes the place of its group's first name, which is not wanted itself. */
export type Adoption = { first: string; link: string };

/** What is not restored, of all that is wanted. */
export type LeaveOut = {
  /** As `compileExcludes` takes them. */
  patterns: string[];
  /** Also files that installed packages brought and that are no configuration. */
  packaged: boolean;
};

export type PlanSetup = {
  catalogDir: string;
  segments: SegmentReference[];
  /** Entry paths wanted, with all below them; empty: everything. */
  paths: string[];
  leaveOut?: LeaveOut | undefined;
  adoptions: Adoption[];
  planDir: string;
};

/** A list of work; `volume` null for what needs no bytes. */
export type WorkList = { volume: string | null; list: string };

export type RestorePlan = {
  entries: number;
  files: number;
  /** Sum of the sizes of files with content of their own. */
  bytes: number;
  /** In the order in which they were begun, which is that of the catalog. */
  lists: WorkList[];
  /** All that entries name. */
  volumes: string[];
  /** Paths that are wanted and not there. */
  missing: string[];
  /** Wanted links whose first name is not wanted, nor among the `adoptions` of the setup. */
  orphans: Adoption[];
  losses: Loss[];
};

export type PlanToMain = { kind: "planned"; plan: RestorePlan } | { kind: "error"; error: PortableError };

export type UnpackSetup = {
  target: string;
  /** Tells the partial files of this restore from others'. */
  archiveId: string;
  planDir: string;
  numericOwner: boolean;
  /** Entries may lie there already: of an earlier try, or to be overwritten. */
  merge: boolean;
  /** Where what is overwritten goes. Default: it is gone. */
  aside?: AsideOrder | undefined;
  /** What numbers in ACLs are on this machine. */
  aclIds?: IdMap | undefined;
};

/** Bytes of the stored object, from its start. */
export type ByteRange = { offset: number; length: number };

/** Not zero once the worker has to end. */
export type StopFlag = Int32Array<SharedArrayBuffer>;

export type MainToUnpack =
  /** Comes first. */
  | { kind: "setup"; setup: UnpackSetup }
  | { kind: "job"; job: number; object: ListedObject | null; list: string }
  /** What the head of a job's volume was opened to; overtakes what else is on its way. */
  | { kind: "key"; job: number; key: Uint8Array; error?: undefined }
  | { kind: "key"; job: number; key: null; error: PortableError }
  /** `bytes` is lent until the range is `taken` or `bad`, or its job is done. */
  | { kind: "bytes"; job: number; range: number; bytes: SharedArrayBuffer; length: number; region: string }
  /** No region has these bytes right. */
  | { kind: "unavailable"; job: number; range: number }
  /** The flag is up. */
  | { kind: "stop" }
  /** No more jobs: account for what could not be given back. */
  | { kind: "close" }
  /** The same, after the end of the restore was done. One thread gets it, once all others are closed. */
  | { kind: "finish"; lost: string[]; clean: boolean };

export type UnpackToMain =
  /** More ranges of a job, numbered on from those it needed before. */
  | { kind: "need"; job: number; ranges: ByteRange[] }
  /** A head whose digest is right, to be opened where the identities are. */
  | { kind: "head"; job: number; head: Uint8Array }
  | { kind: "taken"; job: number; range: number }
  | { kind: "bad"; job: number; range: number; region: string; message: string }
  | { kind: "done"; job: number; bytes: number; files: number; lost: string[] }
  | { kind: "finished"; lost: string[]; losses: Loss[] }
  | { kind: "error"; error: PortableError };
