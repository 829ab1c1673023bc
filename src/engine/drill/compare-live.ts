/** Restored files beside those that live here: on the host itself, a sample of both should be the same, or tell what has changed since. */
import { createHash } from "node:crypto";
import { type Dir, lstatSync, opendirSync, openSync, closeSync, readSync } from "node:fs";
import { join } from "node:path";
import { randomInt } from "node:crypto";
import { MIB } from "../../units.ts";

const SAMPLE_FILES = 500;
/** A larger file says nothing that many small ones do not, and takes its time. */
const SAMPLE_FILE_BYTES_MAX = 256 * MIB;
const NAMED_MAX = 20;
const PIECE_BYTES = MIB;

export type Compared = { files: number; same: number; /** Changed here since, or restored wrongly: whoever looks knows which. */ differing: number; gone: number; named: string[] };

/** Regular files below a folder, a random sample of them (Vitter's algorithm R). */
function sampleOf(folder: string, signal: AbortSignal): string[] {
  const sample: string[] = [];
  let seen = 0;
  const open = [""];
  for (let at; (at = open.pop()) !== undefined; ) {
    signal.throwIfAborted();
    const dir: Dir = opendirSync(join(folder, at));
    for (let entry; (entry = dir.readSync()) !== null; ) {
      const path = `${at}/${entry.name}`;
      if (entry.isDirectory()) open.push(path);
      if (!entry.isFile()) continue;
      seen++;
      if (sample.length < SAMPLE_FILES) sample.push(path);
      else {
        const place = randomInt(seen);
        if (place < SAMPLE_FILES) sample[place] = path;
      }
    }
    dir.closeSync();
  }
  return sample;
}

function digest(path: string): string | null {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  try {
    const fd = openSync(path, "r");
    try {
      for (let length; (length = readSync(fd, buffer)) > 0; ) hash.update(buffer.subarray(0, length));
    } finally {
      closeSync(fd);
    }
    return hash.digest("hex");
  } catch {
    return null;
  }
}

/** Throws the signal's reason. */
export function compareLive(folder: string, signal: AbortSignal): Compared {
  const compared: Compared = { files: 0, same: 0, differing: 0, gone: 0, named: [] };
  for (const path of sampleOf(folder, signal)) {
    signal.throwIfAborted();
    const restored = lstatSync(join(folder, path));
    if (restored.size > SAMPLE_FILE_BYTES_MAX) continue;
    compared.files++;
    const live = lstatSync(path, { throwIfNoEntry: false });
    const isSame = live?.isFile() === true && live.size === restored.size && digest(path) === digest(join(folder, path));
    if (isSame) compared.same++;
    else if (live === undefined) compared.gone++;
    else compared.differing++;
    if (!isSame && compared.named.length < NAMED_MAX) compared.named.push(path.toWellFormed());
  }
  return compared;
}
