/**
 * What the threads of a backup say to each other.
 *
 *   main ──────── start, confirmed, seal ───────▶ scan worker
 *   walk worker ─ items ────────────────────────▶ scan worker
 *   scan worker ─ tasks, answers, flush ────────▶ pack workers      (a direct port each)
 *   pack workers ─ results, questions ──────────▶ scan worker
 *   main ─ spans of dumps ─▶ scan worker ─▶ pack workers ─ empty buffers ─▶ scan worker ─▶ main
 *   pack workers ─ volumes ──▶ main ─ buffers ──▶ pack workers
 *
 * Buffers of volumes and dumps are shared, not handed over: V8 takes 32 MiB that arrive for what the thread has made, and
 * collects its whole heap. Whoever got the last message of a buffer has it to itself.
 */
import type { MessagePort } from "node:worker_threads";
import type { SealedHead } from "../../codec/age-header.ts";
import type { ReadRaceKind } from "../../disk/read-file.ts";
import type { FileIdentity, Stat } from "../../disk/stat.ts";
import type { Problem, SegmentReference } from "../../format/catalog-root.ts";
import type { DataFact } from "../../format/data-facts.ts";
import type { Xattr } from "../../format/entry.ts";
import type { ListedObject, ManifestHeader, RootReference } from "../../format/manifest.ts";
import type { SourceEntries } from "../../format/usual.ts";
import type { PortableError } from "../portable-error.ts";
import type { StageTimes } from "./stage-times.ts";
import type { WalkBatch } from "./walk-batch.ts";

/** Content known to lie in a volume that may be reused. */
export type KnownChunk = { sha256: string; volume: string; frame: readonly [number, number]; offset: number; length: number };

/** Read a whole small file: the one of this inode, which was walked with this size. */
export type FileTask = FileIdentity & {
  kind: "file";
  number: number;
  path: string;
  size: number;
  user?: string | undefined;
  group?: string | undefined;
  previous?: KnownChunk | undefined;
};

/** Read one span of a large file. */
export type SpanTask = FileIdentity & {
  kind: "span";
  number: number;
  path: string;
  at: number;
  length: number;
  average: number;
  /** Whether to ask for holes. */
  sparse: boolean;
  /** The continuation line of this span in the archive before, all of whose volumes may be named again. */
  previous?: string | undefined;
};

/** Pack one span of a dump, whose bytes come along. */
export type BytesTask = {
  kind: "bytes";
  number: number;
  at: number;
  length: number;
  average: number;
  /** Goes back to the main thread, to be filled again. */
  buffer: SharedArrayBuffer;
  previous?: string | undefined;
};

export type PackTask = FileTask | SpanTask | BytesTask;

/** What became of a task. Results come in any order. Catalog text is made where the content is, not in the one thread of the scan. */
export type PackResult =
  | {
      kind: "file";
      number: number;
      /** Its catalog line. */
      line: string;
      size: number;
      /** Device and inode, `dev:ino`. */
      inode: string;
      volume?: string | undefined;
      /** It changed while it was read, twice. */
      changed: boolean;
      bytesPacked: number;
      lost?: string | undefined;
    }
  | {
      kind: "span";
      number: number;
      at: number;
      stat: Stat;
      xattrs?: Xattr[] | undefined;
      /** Its extents as the catalog has them, the bytes they cover, and the volumes they name. */
      extents: string;
      length: number;
      volumes: string[];
      bytesRead: number;
      bytesPacked: number;
      endsAt?: number | undefined;
      lost?: string | undefined;
    }
  | { kind: "bytes"; number: number; at: number; extents: string; length: number; volumes: string[]; bytesPacked: number }
  /** Too large by now to be read in one piece. */
  | { kind: "grown"; number: number; stat: Stat }
  | { kind: "failed"; number: number; code: string; message: string; race: ReadRaceKind };

export type PackerToScan =
  | { kind: "results"; results: PackResult[] }
  /** Where a frame's pieces lie, as records (piece-records.ts). */
  | { kind: "pieces"; volume: string; records: Uint8Array }
  /** One `tasks` message was worked off. */
  | { kind: "ready" }
  /** The bytes of a dump are packed: the buffer is free again. */
  | { kind: "spent"; buffer: SharedArrayBuffer }
  | { kind: "question"; digests: string[] };
export type ScanToPacker =
  | { kind: "tasks"; tasks: PackTask[] }
  | { kind: "answer"; places: (KnownChunk | null)[] }
  /** Close the open frame, so that its results come. */
  | { kind: "flush" }
  /** Close the open volume. */
  | { kind: "finish" };

export type FinishedVolume = { object: ListedObject; body: { buffer: SharedArrayBuffer; length: number } | { path: string } };

export type PackerToMain =
  | { kind: "volume"; volume: FinishedVolume }
  /** Ready to begin a volume: wants a buffer. */
  | { kind: "want" }
  | { kind: "finished"; times: StageTimes }
  | { kind: "error"; error: PortableError };

/** Begin a volume. The main thread seals its head, because it has the library for that loaded anyway. */
export type MainToPacker = { kind: "go"; targetBytes: number; buffer: SharedArrayBuffer | null; sealed: SealedHead };

export type PackerSetup = {
  scanPort: MessagePort;
  filter: SharedArrayBuffer;
  recipientSet: number;
  compressionLevel: number;
  spoolDir: string;
  /** Where packers take turns at reading; null when all may read at once. */
  readingTurns: SharedArrayBuffer | null;
};

export type SourceSpec = { path: string; exclude: string[] };

export type WalkSetup = {
  scanPort: MessagePort;
  sources: SourceSpec[];
  /** The vault's own directories and the state: never archived. */
  excludedDirs: string[];
  /** Files and directories of databases that are dumped instead; a source of its own is archived all the same. */
  leftOut: string[];
};

/** The scan answers each `items` with null once it takes them. */
export type WalkToScan = { kind: "items"; batch: WalkBatch } | { kind: "end" } | { kind: "error"; error: PortableError };

export type ScanSetup = {
  walkPort: MessagePort;
  packerPorts: MessagePort[];
  filter: SharedArrayBuffer;
  stateDir: string;
  catalogDir: string;
  sources: SourceSpec[];
  previous: { segments: SegmentReference[]; startedAtSeconds: number; rewriteObjects: string[] } | null;
  /** Paths without which the archive is partial. */
  mustExist: string[];
  /** What the sources usually hold; null when a person accepts that one is empty now. */
  usualSources: SourceEntries[] | null;
  /** Volumes whose content may be named again. */
  reusableVolumes: string[];
  reusableCatalogs: string[];
  dryRun: boolean;
  /** Whether dumps come too. */
  hasDumps: boolean;
};

/** What the main thread tells of dumps: spans in order, one dump after another. */
export type DumpToScan =
  | { kind: "begin"; number: number; path: string }
  | { kind: "span"; number: number; at: number; length: number; buffer: SharedArrayBuffer }
  /** It is whole. */
  | { kind: "end"; number: number; size: number; mtime: string }
  /** It is not: nothing of it may be in the catalog. */
  | { kind: "drop"; number: number }
  | { kind: "problem"; path: string; code: string; message: string }
  | { kind: "note"; path: string; message: string }
  /** No dump follows. */
  | { kind: "done" };

/** Counts of one run, shown as it goes and at the end. */
export type ScanCounts = {
  entries: number;
  filesNew: number;
  filesChanged: number;
  /** Of these, those with content that no archive held: another time or inode alone is no change of content. */
  filesRewritten: number;
  filesUnchanged: number;
  vanished: number;
  sockets: number;
  changedWhileRead: number;
  sourceBytes: number;
  bytesRead: number;
  bytesPacked: number;
};

/** What the catalog came to: everything the manifest must say of it. */
export type SealedCatalog = {
  root: RootReference;
  totals: Pick<ManifestHeader["totals"], "entries" | "sourceBytes">;
  /** The new catalog object, spooled. */
  object: ListedObject;
  path: string;
  /** Every volume the archive needs. */
  volumes: string[];
  /** Every catalog object the archive needs, the new one too. */
  catalogs: string[];
  segments: SegmentReference[];
};

export type ScanReport = { counts: ScanCounts; problems: Problem[]; problemsTotal: number; skippedMounts: { path: string; fsType: string; reason: string }[]; notKept: { path: string; what: string }[]; notKeptTotal: number; notes: { path: string; message: string }[]; sources: SourceEntries[] };

export type SealRequest = {
  kind: "seal";
  /** The walk goes on: only what is finished so far counts. */
  goesOn: boolean;
  catalogId: string;
  head: { vault: string; host: string; id: string; sources: string[]; run: Record<string, unknown>; databases: DataFact[]; /** Of the machine; empty where none was taken. */ profile: Record<string, unknown> };
  sealed: SealedHead;
  recipientSet: number;
  spoolPath: string;
};

export type MainToScan =
  /** Begin to walk. The thread itself is started earlier, so that it is ready by then. */
  | { kind: "start"; setup: ScanSetup }
  | { kind: "confirmed"; volume: string }
  | { kind: "dump"; message: DumpToScan }
  /** Stop walking: an interrupted run seals what it has. */
  | { kind: "stop" }
  | SealRequest
  /** The run is over: save what is worth saving. */
  | { kind: "close" };

export type ScanToMain =
  /** There is work for one more packer: start it. */
  | { kind: "packing"; packer: number }
  | { kind: "progress"; counts: ScanCounts; path: string }
  | { kind: "problem"; problem: Problem }
  | { kind: "spent"; buffer: SharedArrayBuffer }
  /** Every entry has its line; the packers are finishing. */
  | { kind: "scanned"; report: ScanReport }
  | { kind: "sealed"; catalog: SealedCatalog }
  | { kind: "error"; error: PortableError };
