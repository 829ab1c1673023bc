/**
 * The one interface between the engine and a place that holds objects. Implementations are a directory and S3;
 * behaviour is added by decorators over the same interface. `test/storage/conformance.ts` is the contract as a suite.
 */
import { ColdkeepError, type ErrorDetails } from "../errors.ts";
import type { LockRule, ObjectLock } from "../policy/lock.ts";

export type StoredObject = {
  /** The key below the store's prefix, with `/` between its parts. */
  key: string;
  sizeBytes: number;
  /** When the store says the object was written, ms since the epoch, by the store's own clock. */
  modifiedMs: number;
  /** The store's name for it; absent where the store names none. */
  storageClass?: string | undefined;
};

/** One of the versions a store keeps of a key. */
export type StoredVersion = {
  /** What `get` asks for it by. */
  version: string;
  /** 0 for a delete marker. */
  sizeBytes: number;
  modifiedMs: number;
  isDeleteMarker: boolean;
};

/** What is known of an object that was asked for by name. */
export type FoundObject = StoredObject & {
  /** Null for none, and where the credentials may not see it. */
  lock: ObjectLock | null;
  /** Whether it can be read: `frozen` ones have to be thawed first, and `thawing` takes hours. */
  access: "readable" | "frozen" | "thawing";
};

/** What a region gives to everything that is put into it. */
export type Keeping = {
  /** Retention of every object. */
  lock?: LockRule | null | undefined;
  /** Storage class of volumes alone: what is read at every run must not lie in a cold one. */
  storageClass?: string | null | undefined;
};

export type ThawTier = "bulk" | "standard";

/** How a place protects what it holds; `versions` and `locks` say whether it can. */
export type Protection = { versions: boolean; locks: boolean };

/** What a PUT sends: bytes in memory, or a file whose whole content is sent. */
export type ObjectBody = Uint8Array | { path: string; sizeBytes: number };

export type PutOptions = {
  /** Lower-case hex SHA-256 of the whole body; sent with the request so that the store checks what arrives. */
  sha256: string;
  /** Replace an existing object. Only repair, under the operator's credentials, sets it. Default: create-only. */
  overwrite?: boolean;
  signal?: AbortSignal | undefined;
};

export type GetOptions = {
  /** Bytes `[offset, offset + length)`. The store may hold fewer; the body is then shorter. */
  range?: { offset: number; length: number };
  /** This version of `versions`, whatever lies over it. Default: what the key holds now. */
  version?: string | undefined;
  signal?: AbortSignal | undefined;
};

export type OpenedObject = {
  /** Size of the whole object, also for a range. */
  sizeBytes: number;
  /** The bytes; pulls from the network as it is read. A piece is good until the next is asked for. Breaking out of the loop releases the connection. */
  body: AsyncIterable<Uint8Array>;
};

/** Why a store refused or failed. `transient`, and in most cases `unreachable`, are worth a retry. */
export type StoreFault = "missing" | "frozen" | "denied" | "unreachable" | "transient" | "full" | "corrupt" | "misused";

/** A failed store operation. The message names the operation, the key and the store's location. */
export class StoreError extends ColdkeepError {
  readonly fault: StoreFault;
  /** The same call may succeed a little later. False for a bad certificate or a disk that is not mounted. */
  readonly retryable: boolean;

  static {
    this.prototype.name = "StoreError";
  }

  constructor(fault: StoreFault, message: string, details: ErrorDetails & { retryable?: boolean } = {}) {
    super("E_STORE", message, details);
    this.fault = fault;
    this.retryable = details.retryable ?? (fault === "transient" || fault === "unreachable");
  }
}

/** What erasing a key came to. */
export type Erasure = {
  /** Bytes of all the versions that are gone. */
  freedBytes: number;
  /** Where a retention of the store's protects what is left: until when, ms since the epoch; null where nobody says. */
  kept: { untilMs: number | null } | null;
};

export interface ObjectStore {
  /** For messages: the URL without anything secret. */
  readonly location: string;

  /**
   * Stores one object whole, or nothing: a reader never sees a part of it, also after a crash.
   * Create-only unless `overwrite`: resolves to `"exists"` and changes nothing when the key is taken, where the store can
   * tell (some stores cannot; callers never rely on it for uniqueness). Durable once it resolves. Idempotent.
   * Throws StoreError.
   */
  put(key: string, body: ObjectBody, options: PutOptions): Promise<"created" | "exists">;

  /** Opens an object for reading. Throws StoreError, `missing` when there is none. */
  get(key: string, options?: GetOptions): Promise<OpenedObject>;

  /** What is known of one object, or null when there is none. Throws StoreError. */
  head(key: string, signal?: AbortSignal): Promise<FoundObject | null>;

  /** Locks an object, or its lock for longer. Throws StoreError: `denied`, `misused` where the place knows no locks or the lock would be weaker. */
  extendLock(key: string, lock: ObjectLock, signal?: AbortSignal): Promise<void>;

  /**
   * Asks for a readable copy of a frozen object, for so many days. Resolves also where one was asked for before; whether it
   * is there yet, `head` tells. Throws StoreError.
   */
  thaw(key: string, tier: ThawTier, days: number, signal?: AbortSignal): Promise<void>;

  /** How the place protects what it holds. Throws StoreError. */
  protection(signal?: AbortSignal): Promise<Protection>;

  /**
   * All objects whose key starts with `prefix`: by the bytes of their keys in every store known, which callers do not
   * rely on. `after` leaves out keys up to and including it, for going on where a listing broke off. Throws StoreError.
   */
  list(prefix: string, signal?: AbortSignal, after?: string): AsyncIterable<StoredObject>;

  /**
   * What a store with versions has kept of exactly this key, the newest first, delete markers too; where none are kept,
   * nothing, or what the key holds now. Throws StoreError.
   */
  versions(key: string, signal?: AbortSignal): Promise<StoredVersion[]>;

  /** Removes one object; removing what is not there is no error. A store that keeps versions keeps it as one. Throws StoreError. */
  delete(key: string, signal?: AbortSignal): Promise<void>;

  /** Removes one object for good, with every version the store keeps of it. Erasing what is not there is no error. Throws StoreError. */
  erase(key: string, signal?: AbortSignal): Promise<Erasure>;

  /** The store's clock, ms since the epoch. For a directory: this machine's. Throws StoreError. */
  nowMs(signal?: AbortSignal): Promise<number>;

  /** Makes the place exist (a directory, or nothing to do). Only `init` calls it. Throws StoreError. */
  create(): Promise<void>;

  /** Ends idle connections. */
  close(): void;
}

/**
 * Reads an opened object into one buffer. Throws StoreError `corrupt` as soon as more than `maxBytes` arrive,
 * so that an endless answer cannot fill the memory.
 */
export async function readBytes(opened: OpenedObject, maxBytes: number, what: string): Promise<Buffer<ArrayBuffer>> {
  let buffer = Buffer.allocUnsafeSlow(Math.min(opened.sizeBytes, maxBytes));
  let length = 0;
  for await (const piece of opened.body) {
    if (length + piece.length > maxBytes) throw new StoreError("corrupt", `${what} is longer than the ${maxBytes} bytes it may have`);
    if (length + piece.length > buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(maxBytes, Math.max(buffer.length * 2, length + piece.length)));
      buffer.copy(larger, 0, 0, length);
      buffer = larger;
    }
    buffer.set(piece, length);
    length += piece.length;
  }
  return buffer.subarray(0, length);
}
