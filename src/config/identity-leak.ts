/** Looks for age identities where a host must not have its owner's: promise 2 rests on their absence. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "./load.ts";

export type FoundIdentity = {
  /** A file's path, or the name of an environment variable, for people. */
  where: string;
  identity: string;
};

export type IdentityPlaces = {
  configText: string;
  configPath: string;
  env: Environment;
  keysDir: string;
  stateDir: string;
};

/** Written in capitals, though bech32 allows small letters too; of fixed length, whatever stands next to it. */
const IDENTITY = /AGE-SECRET-KEY-(?:PQ-)?1[AC-HJ-NP-Z02-9]{58}/gi;
const MARK = "age-secret-key-";

/** A kit or key file is far shorter; what lies deeper in a large file nobody put there as a key. */
const BYTES_MAX = 1024 * 1024;
const FILES_MAX = 10_000;

/**
 * Every identity in the configuration's text, in the environment's values, and in the files directly in the keys and state
 * folders (the first MiB of each). The host's own catalog key is among them: whoever asks compares with the recipients.
 * What cannot be read is passed over: the program itself cannot read it either.
 */
export function findIdentities(places: IdentityPlaces): FoundIdentity[] {
  const found: FoundIdentity[] = [];
  const look = (where: string, text: string): void => {
    const identities = text.toLowerCase().includes(MARK) ? text.match(IDENTITY) : null;
    for (const identity of new Set(identities?.map((each) => each.toUpperCase()))) found.push({ where, identity });
  };
  look(places.configPath, places.configText);
  for (const [name, value] of Object.entries(places.env)) look(`the environment variable ${name}`, value ?? "");
  for (const folder of new Set([places.keysDir, places.stateDir])) {
    for (const path of filesIn(folder)) look(path, readStart(path));
  }
  return found;
}

function filesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder, { withFileTypes: true });
    // A link to a key is as readable as the key.
    return names.filter((entry) => entry.isFile() || entry.isSymbolicLink()).slice(0, FILES_MAX).map((entry) => join(folder, entry.name));
  } catch {
    return [];
  }
}

function readStart(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return "";
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return "";
    const buffer = Buffer.allocUnsafe(Math.min(stat.size, BYTES_MAX));
    return buffer.toString("latin1", 0, readSync(fd, buffer, 0, buffer.length, 0));
  } catch {
    return "";
  } finally {
    closeSync(fd);
  }
}
