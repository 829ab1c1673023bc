/** The single executable as a file to publish: its digest, its version, and the machines it runs on. */
import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { promisify } from "node:util";
import { RunningDigest } from "../codec/digest.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { PROGRAM_VERSION } from "../format/program-note.ts";
import { singleFile } from "./single-file.ts";

export type ProgramFile = { path: string; sizeBytes: number; sha256: string; version: string; platform: string };

const ELF = Buffer.from("\x7fELF", "latin1");
const START_MS = 20_000;

/** The file named, else the executable that runs. Throws E_USAGE when neither is a single executable, E_DISK. */
export async function readProgramFile(given: string | undefined): Promise<ProgramFile> {
  const path = given ?? singleFile?.path;
  if (path === undefined) {
    throw new ColdkeepError("E_USAGE", "this is not the single executable, and --program names none", {
      hint: "Give --program FILE, as a release or `npm run build:single` makes it; or run the single executable itself.",
    });
  }
  const { sizeBytes, sha256, start } = await digestFile(path);
  if (!start.equals(ELF)) throw notProgram(path, "it is no executable for Linux");
  return { path, sizeBytes, sha256, version: await versionOf(path), platform: `${process.platform}-${process.arch}` };
}

/** SHA-256 of the single executable that runs; null in an ordinary installation. */
export async function ownProgramSha256(): Promise<string | null> {
  return singleFile === null ? null : (await digestFile(singleFile.path)).sha256;
}

async function digestFile(path: string): Promise<{ sizeBytes: number; sha256: string; start: Buffer }> {
  const digest = new RunningDigest();
  let start = Buffer.alloc(0);
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
      if (start.length === 0) start = Buffer.from(piece.subarray(0, ELF.length));
      digest.update(piece);
    }
  } catch (cause) {
    throw new ColdkeepError("E_DISK", `cannot read the program ${path}: ${messageOf(cause)}`, { hint: "Name the single executable with --program FILE.", cause });
  }
  return { sizeBytes: digest.length, sha256: digest.hex(), start };
}

/** What it says of itself, without anything of this machine's environment: so it is also known to run here. */
async function versionOf(path: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { env: {}, timeout: START_MS, cwd: "/" });
    if (PROGRAM_VERSION.test(stdout.trim())) return stdout.trim();
  } catch (cause) {
    throw notProgram(path, `it does not run here: ${messageOf(cause)}`);
  }
  throw notProgram(path, "it does not print a version");
}

function notProgram(path: string, why: string): ColdkeepError {
  return new ColdkeepError("E_USAGE", `${path} is not the single executable of coldkeep: ${why}`, { hint: "Name the file that a release or `npm run build:single` makes." });
}
