/** What a database, or a command, gives an archive: dumps that flow when their turn comes, and what to leave out of the files. */
import { realpathSync } from "node:fs";
import type { OnError, ServerConfig } from "../../config/data-schema.ts";
import { sha256Hex } from "../../codec/digest.ts";
import type { DataFact, Dump } from "../../format/data-facts.ts";
import { OWN_DIRECTORY } from "../../format/own-directory.ts";

/** Takes bytes of a dump; resolves when more may come. The buffer is not kept. */
export type DumpSink = (bytes: Buffer) => Promise<void>;

/** What is known of a dump once it is whole. */
export type DumpFacts = Partial<Pick<Dump, "rows" | "owner" | "encoding" | "locale" | "extensions" | "mode">>;

export type PlannedDump = Pick<Dump, "path" | "what" | "name"> & {
  /**
   * Writes all of it. Throws E_DISK with the tool's last lines when it is not whole, E_NOT_FOUND, E_CONFIG, E_REFUSED, what the sink
   * throws, and the signal's reason.
   */
  write(sink: DumpSink, signal: AbortSignal): Promise<DumpFacts>;
};

export type DataSource = {
  /** For messages: `postgresql main`. */
  label: string;
  onError: OnError;
  fact: Omit<DataFact, "dumps">;
  dumps: PlannedDump[];
  /** Files and directories that a copy of would not be one of the data; real paths. */
  leftOut: string[];
  /** Files among these that are settings, and archived. */
  settings: string[];
  notes: string[];
};

/** Longer names of dumps are cut, and told apart by their digest. */
const FILE_NAME_MAX = 180;
const DIGEST_DIGITS = 16;

/** A name of a database, or a path, as part of one name in a path: what is not plain is written `%` and two hex digits a byte. */
export function dumpFileName(name: string): string {
  const plain = [...Buffer.from(name)].map((byte) => (/[A-Za-z0-9._-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`)).join("");
  return plain.length <= FILE_NAME_MAX ? plain : `${plain.slice(0, FILE_NAME_MAX)}~${sha256Hex(name).slice(0, DIGEST_DIGITS)}`;
}

/** The folder of a database's dumps in the archive. */
export function dumpFolder({ engine, name }: Pick<DataFact, "engine" | "name">): string {
  return engine === "command" ? `${OWN_DIRECTORY}/commands` : `${OWN_DIRECTORY}/databases/${engine}-${name}`;
}

/** Whether a server runs on this machine, so that its files are this machine's. */
export function isLocalServer({ host }: Pick<ServerConfig, "host">): boolean {
  return host === null || /^(localhost$|127\.|::1$)/.test(host);
}

/** A path without links; as it is where it cannot be followed. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** The last bytes of a dump: where a tool says that it came to its end. */
export class Tail {
  readonly #max: number;
  #bytes = Buffer.alloc(0);

  constructor(max: number) {
    this.#max = max;
  }

  add(bytes: Buffer): void {
    this.#bytes = bytes.length >= this.#max ? Buffer.from(bytes.subarray(-this.#max)) : Buffer.concat([this.#bytes, bytes]).subarray(-this.#max);
  }

  get bytes(): Buffer {
    return this.#bytes;
  }
}
