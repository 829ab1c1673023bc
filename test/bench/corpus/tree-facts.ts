/** What a tree on disk holds. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

export type TreeFacts = { files: number; bytes: number };

/** Regular files whose path `counts`, by name: a second hard link counts again. A tree that is not there has none. */
export function treeFacts(dir: string, counts: (path: string) => boolean = () => true): TreeFacts {
  const facts = { files: 0, bytes: 0 };
  const open = [dir];
  for (let next; (next = open.pop()) !== undefined; ) {
    for (const entry of listOf(next)) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) open.push(path);
      if (!entry.isFile() || !counts(path)) continue;
      facts.files++;
      facts.bytes += lstatSync(path).size;
    }
  }
  return facts;
}

function listOf(dir: string) {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
