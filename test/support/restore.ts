/** Runs of `restore` through the real program, and damage to what they read. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestHost } from "./host.ts";
import { type ProgramOptions, type ProgramResult, tempDir } from "./program.ts";

/** The document of `restore --json`, as far as tests look at it. */
export type RestoreDocument = {
  schemaVersion: 1;
  archive: string;
  status: "complete" | "partial";
  entries: number;
  files: number;
  bytes: number;
  bytesWritten: number;
  resumed: boolean;
  lost: string[];
  lostTotal: number;
  notKept: { what: string; count: number; examples: string[] }[];
  passedOver: string[];
  damaged: string[];
  durationMs: number;
  error?: { code: string; message: string; hint?: string };
};

export type RestoreRun = ProgramResult & { document: RestoreDocument; out: string };

/** One run of `restore --json` with the host's kit, into a new directory or `--to` of the arguments. */
export async function restore(host: Pick<TestHost, "run" | "movedKit">, args: string[] = [], options: ProgramOptions = {}): Promise<RestoreRun> {
  const given = args.indexOf("--to");
  const out = given >= 0 ? (args[given + 1] ?? "") : join(tempDir(), "out");
  const to = given >= 0 ? [] : ["--to", out];
  const kit = args.includes("--kit") ? [] : ["--kit", host.movedKit];
  const result = await host.run(["restore", "--json", ...kit, ...to, ...args], options);
  return { ...result, document: result.json<RestoreDocument>(), out };
}

/** Flips one bit of a file; a negative offset counts from the end. */
export function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}

/** Whatever the program leaves under temporary names below a directory. */
export function leftovers(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((name) => name.includes(".coldkeep-"));
}
