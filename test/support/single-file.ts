/** The single executable, built for a test file, and `recover.sh --fetch-program`. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { tempDir } from "./program.ts";
import { fileTempDir } from "./temp-dir.ts";

/** Builds the executable into a folder that stays until the last test of the file is done. Takes some ten seconds. */
export function buildSingleFile(): string {
  const folder = fileTempDir();
  execFileSync(process.execPath, [resolve(import.meta.dirname, "../../bin/single/build.ts"), folder], { stdio: "pipe" });
  return join(folder, "coldkeep");
}

/** An executable of 150 bytes (x86-64) that prints a version: what publishing and fetching need not be tried with megabytes. */
export function writeTinyProgram(path: string, version: string): Buffer {
  const base = 0x400000;
  const text = Buffer.from(`${version}\n`);
  const header = Buffer.alloc(120);
  Buffer.from("7f454c46020101", "hex").copy(header);
  const code = Buffer.from("b801000000bf01000000be00000000ba000000000f05b83c00000031ff0f05", "hex"); // write(1, text, length); exit(0)
  const [start, bytes] = [header.length, header.length + code.length + text.length];
  code.writeUInt32LE(base + start + code.length, 11);
  code.writeUInt32LE(text.length, 16);
  for (const [at, value] of [[16, 2], [18, 62], [52, 64], [54, 56], [56, 1], [64, 1], [68, 5]] as const) header.writeUInt16LE(value, at);
  header.writeUInt32LE(1, 20);
  for (const [at, value] of [[24, base + start], [32, 64], [80, base], [88, base], [96, bytes], [104, bytes], [112, 4096]] as const) header.writeBigUInt64LE(BigInt(value), at);
  const program = Buffer.concat([header, code, text]);
  writeFileSync(path, program, { mode: 0o755 });
  return program;
}

export type Fetched = { status: number | null; said: string; program: string };

/** Runs the script that lies in `folder`, with nothing but these variables and the system's tools. */
export async function fetchProgram(folder: string, kit: string, options: { args?: string[]; env?: Record<string, string> } = {}): Promise<Fetched> {
  const program = join(tempDir(), "fetched");
  const env = { PATH: "/usr/bin:/bin", ...options.env };
  const child = spawn("sh", ["recover.sh", "--fetch-program", "--to", program, ...(options.args ?? []), kit], { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (piece: Buffer) => (said += piece.toString()));
  await once(child, "close");
  return { status: child.exitCode, said, program };
}
