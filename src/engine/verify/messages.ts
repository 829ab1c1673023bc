/**
 * What the threads of a check say to each other.
 *
 *   main ─ begin, bytes, abandon ─▶ check worker     hashes an object as it arrives; of a volume also all that is in it
 *   main ◀─ taken, checked ──────── check worker
 *   main ─ archive ───────────────▶ catalog worker   reads every line; lists which pieces each volume must hold
 *   main ◀─ scanned ─────────────── catalog worker
 */
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { PortableError } from "../portable-error.ts";

export type CheckSetup = { identities: string[] };

export type MainToCheck =
  /** `pieces`: file with what the catalogs say of this volume; null: the digest of the object is all that is asked for. */
  | { kind: "begin"; job: number; object: ListedObject; pieces: string | null }
  /** `bytes` is lent until it is `taken`. */
  | { kind: "bytes"; job: number; bytes: SharedArrayBuffer; length: number }
  | { kind: "abandon"; job: number };

/** Something wrong inside a volume whose stored bytes are the ones its manifest lists. */
export type ContentFault = {
  what: string;
  /** The piece it is about; absent when it is about the volume. */
  piece?: { position: number; offset: number };
  /** The volume could not be looked into at all: none of the identities opens it. */
  isLocked?: true;
};

export type CheckOutcome = { sha256: string; faults: ContentFault[] };

export type CheckToMain =
  | { kind: "taken"; job: number }
  | { kind: "checked"; job: number; outcome: CheckOutcome }
  | { kind: "error"; error: PortableError };

export type CatalogSetup = {
  catalogDir: string;
  listDir: string;
  /** Volumes whose content is checked; null: all. */
  volumes: string[] | null;
};

/** What is needed of an archive to hold its catalog against its manifest. */
export type ScanRequest = {
  rootObject: string;
  segments: SegmentReference[];
  /** By the root, and by the manifest. */
  entries: number[];
  volumes: string[];
  catalogs: string[];
};

export type MainToCatalog = { kind: "archive"; request: ScanRequest };

export type CatalogToMain = { kind: "scanned"; faults: string[] } | { kind: "error"; error: PortableError };
