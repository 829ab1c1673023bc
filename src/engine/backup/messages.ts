/**
 * What the threads of a backup say to each other.
 *
 *   main ──────── start, confirmed, seal ───────▶ scan worker
 *   scan worker ─ tasks, answers, flush ────────▶ pack workers      (a direct port each)
 *   pack workers ─ results, questions ──────────▶ scan worker
 *   pack workers ─ volumes ──▶ main ─ buffers ──▶ pack workers
 */
import type { MessagePort } from "node:worker_threads";
import type { ReadRaceKind } from "../../disk/read-file.ts";
import type { Stat } from "../../disk/stat.ts";
import type { Problem, SegmentReference } from "../../format/catalog-root.ts";
import type { Extent, Xattr } from "../../format/entry.ts";
import type { ListedObject, ManifestHeader, RootReference } from "../../format/manifest.ts";
import type { PortableError } from "../portable-error.ts";

/** Content known to lie in a volume that may be reused. */
export type KnownChunk = { sha256: string; volume: string; frame: readonly [number, number]; offset: number; length: number };

/** Read a whole small file. */
export type FileTask = { kind: "file"; number: number; path: string; stat: Stat; user?: string | undefined; group?: string | undefined; previous?: KnownChunk | undefined };

/** Read one span of a large file. */
export type SpanTask = {
  kind: "span";
  number: number;
  path: string;
  stat: Stat;
  at: number;
  length: number;
  average: number;
  /** Whether to ask for holes. */
  sparse: boolean;
  previous: KnownChunk[];
};

export type PackTask = FileTask | SpanTask;

/** What became of a task. Results come in any order. */
export type PackResult =
  | {
      kind: "file";
      number: number;
      stat: Stat;
      xattrs?: Xattr[] | undefined;
      sha256?: string | undefined;
      extent?: Extent | undefined;
      /** It changed while it was read, twice. */
      changed: boolean;
      bytesRead: number;
      bytesPacked: number;
      lost?: string | undefined;
    }
  | { kind: "span"; number: number; at: number; stat: Stat; xattrs?: Xattr[] | undefined; extents: Extent[]; bytesRead: number; bytesPacked: number; endsAt?: number | undefined; lost?: string | undefined }
  /** Too large by now to be read in one piece. */
  | { kind: "grown"; number: number; stat: Stat }
  | { kind: "failed"; number: number; code: string; message: string; race: ReadRaceKind };

export type PackerToScan = 
  | { kind: "results"; results: PackResult[] }
  /** One `tasks` message was worked off. */
  | { kind: "ready" }
  | { kind: "question"; digests: string[] };
export type ScanToPacker =
  | { kind: "tasks"; tasks: PackTask[] }
  | { kind: "answer"; places: (KnownChunk | null)[] }
  /** Close the open frame, so that its results come. */
  | { kind: "flush" }
  /** Close the open volume. */
  | { kind: "finish" };

export type FinishedVolume = { object: ListedObject; body: { buffer: ArrayBuffer; length: number } | { path: string } };

export type PackerToMain =
  | { kind: "volume"; volume: FinishedVolume }
  /** Ready to begin a volume: wants a buffer. */
  | { kind: "want" }
  | { kind: "finished" }
  | { kind: "error"; error: PortableError };

export type MainToPacker = { kind: "go"; targetBytes: number; buffer: ArrayBuffer | null };

export type PackerSetup = {
  scanPort: MessagePort;
  filter: SharedArrayBuffer;
  recipients: string[];
  recipientSet: number;
  compressionLevel: number;
  spoolDir: string;
};

export type SourceSpec = { path: string; exclude: string[] };

export type ScanSetup = {
  packerPorts: MessagePort[];
  filter: SharedArrayBuffer;
  stateDir: string;
  catalogDir: string;
  sources: SourceSpec[];
  /** The vault's own directories and the state: never archived. */
  excludedDirs: string[];
  previous: { segments: SegmentReference[]; startedAtSeconds: number; rewriteObjects: string[] } | null;
  /** Volumes whose content may be named again. */
  reusableVolumes: string[];
  reusableCatalogs: string[];
  dryRun: boolean;
};

/** Counts of one run, shown as it goes and at the end. */
export type ScanCounts = {
  entries: number;
  filesNew: number;
  filesChanged: number;
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

export type ScanReport = { counts: ScanCounts; problems: Problem[]; problemsTotal: number; skippedMounts: { path: string; fsType: string; reason: string }[]; notKept: { path: string; what: string }[]; notKeptTotal: number; notes: { path: string; message: string }[] };

export type SealRequest = {
  kind: "seal";
  catalogId: string;
  head: { vault: string; host: string; id: string; sources: string[]; run: Record<string, unknown> };
  recipients: string[];
  recipientSet: number;
  spoolPath: string;
};

export type MainToScan =
  | { kind: "confirmed"; volume: string }
  /** Stop walking: an interrupted run seals what it has. */
  | { kind: "stop" }
  | SealRequest
  /** The run is over: save what is worth saving. */
  | { kind: "close" };

export type ScanToMain =
  /** There is something to pack: start the packers. */
  | { kind: "packing" }
  | { kind: "progress"; counts: ScanCounts; path: string }
  | { kind: "problem"; problem: Problem }
  /** Every entry has its line; the packers are finishing. */
  | { kind: "scanned"; report: ScanReport }
  | { kind: "sealed"; catalog: SealedCatalog }
  | { kind: "error"; error: PortableError };
