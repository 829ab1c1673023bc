/**
 * One run a host at a time: an exclusive transaction held on a small database. The kernel frees it when the process dies,
 * however it dies, so there is nothing stale to clean up. Whoever holds it notes when it last made progress, so that the one
 * who comes too late can tell a long run from one that hangs.
 */
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ColdkeepError, messageOf } from "../errors.ts";
import { formatDuration, formatLocalTime } from "../units.ts";

/** Progress is noted this often at the most. */
const NOTE_EVERY_MS = 5_000;
/** From taking the lock to the first note; until then an earlier run's may lie there. */
const FIRST_NOTE_MS = 500;
const DEFAULT_STALLED_MS = 6 * 3_600_000;

/** Who holds the lock, as far as it could be read. */
type Holder = { pid: number; startedAtMs: number; progressAtMs: number };

export class HostLock {
  readonly #database: DatabaseSync;
  readonly #notePath: string;
  #notedAtMs = 0;

  private constructor(database: DatabaseSync, notePath: string) {
    this.#database = database;
    this.#notePath = notePath;
    try {
      writeFileSync(notePath, JSON.stringify({ pid: process.pid, startedAtMs: Date.now() }), { mode: 0o600 });
    } catch {
      // The note is for messages alone; an old one would tell lies.
      rmSync(notePath, { force: true });
    }
  }

  /**
   * Takes the lock in `stateDir` (made when missing). Throws E_LOCKED when another run holds it, E_STALLED when that one has
   * made no progress for `stalledAfterMs`, E_DISK when it cannot be kept.
   */
  static take(stateDir: string, stalledAfterMs: number = DEFAULT_STALLED_MS): HostLock {
    // In a folder of its own, where nothing else opens files: closing any descriptor of the database gives its lock up (fcntl(2)).
    const folder = join(stateDir, "lock");
    const path = join(folder, "host.db");
    const notePath = join(stateDir, "holder.json");
    let database: DatabaseSync | undefined;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      database = new DatabaseSync(path, { timeout: 0 });
      database.exec("PRAGMA journal_mode = DELETE");
      database.exec("BEGIN EXCLUSIVE");
    } catch (cause) {
      database?.close();
      if (/locked|busy/i.test(messageOf(cause))) throw heldByAnother(stateDir, notePath, stalledAfterMs, cause);
      throw new ColdkeepError("E_DISK", `cannot take the lock ${path}: ${messageOf(cause)}`, { cause });
    }
    return new HostLock(database, notePath);
  }

  /** To be called whenever something got done: read, stored, copied. Waiting and trying again are no progress. */
  noteProgress(): void {
    const nowMs = Date.now();
    if (Math.abs(nowMs - this.#notedAtMs) < NOTE_EVERY_MS) return;
    this.#notedAtMs = nowMs;
    try {
      utimesSync(this.#notePath, nowMs / 1000, nowMs / 1000);
    } catch {
      // Without its note a run is taken for one that makes progress.
    }
  }

  release(): void {
    rmSync(this.#notePath, { force: true });
    this.#database.close();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function readHolder(notePath: string): Holder | null {
  try {
    const note: unknown = JSON.parse(readFileSync(notePath, "utf8"));
    if (typeof note !== "object" || note === null || !("pid" in note) || !("startedAtMs" in note)) return null;
    if (typeof note.pid !== "number" || typeof note.startedAtMs !== "number") return null;
    return { pid: note.pid, startedAtMs: note.startedAtMs, progressAtMs: statSync(notePath).mtimeMs };
  } catch {
    return null;
  }
}

function heldByAnother(stateDir: string, notePath: string, stalledAfterMs: number, cause: unknown): ColdkeepError {
  const isStalled = (holder: Holder | null): boolean => holder !== null && Date.now() - holder.progressAtMs > stalledAfterMs;
  let holder = readHolder(notePath);
  if (isStalled(holder)) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FIRST_NOTE_MS);
    holder = readHolder(notePath);
  }
  if (holder === null) return new ColdkeepError("E_LOCKED", `another run holds the state in ${stateDir}; nothing has to be unlocked by hand`, { cause });
  const who = `another run (process ${holder.pid}, since ${formatLocalTime(holder.startedAtMs)}) holds the state in ${stateDir}`;
  // A clock that was set back must not make a note of the future.
  const quiet = formatDuration(Math.max(0, Date.now() - holder.progressAtMs));
  // One line and no hint: there is nothing to do, and a schedule may come upon a long run every night.
  if (!isStalled(holder)) return new ColdkeepError("E_LOCKED", `${who} and made progress ${quiet} ago; nothing has to be unlocked by hand`, { cause });
  return new ColdkeepError("E_STALLED", `${who} and has made no progress for ${quiet}`, {
    hint: `Look at what it waits for, then end it with \`kill ${holder.pid}\`: nothing has to be unlocked by hand, and the next run goes on from what was stored.`,
    cause,
  });
}
