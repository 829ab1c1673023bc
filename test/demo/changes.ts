/** What happens to the server between two nights. */
import { createHash } from "node:crypto";
import { appendFileSync, closeSync, lstatSync, mkdirSync, openSync, readdirSync, readSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

const PAGE_BYTES = 8192;

/** Bytes like those of a database file: pages of rows with numbers, names and some noise, the same for the same size. */
export function makeDatabase(path: string, bytes: number): void {
  const descriptor = openSync(path, "wx");
  try {
    for (let page = 0; page * PAGE_BYTES < bytes; page++) {
      const noise = createHash("sha512").update(`page ${page}`).digest("hex");
      const row = `${page}|customer-${page % 997}|${noise}|paid|2026-11-${String((page % 28) + 1).padStart(2, "0")}\n`;
      writeSync(descriptor, Buffer.alloc(PAGE_BYTES, row));
    }
  } finally {
    closeSync(descriptor);
  }
}

/** Rewrites one page in the middle. */
export function touchPage(path: string): void {
  const descriptor = openSync(path, "r+");
  try {
    const at = Math.floor(lstatSync(path).size / 2 / PAGE_BYTES) * PAGE_BYTES;
    const page = Buffer.alloc(PAGE_BYTES);
    readSync(descriptor, page, 0, PAGE_BYTES, at);
    page.write("a page was changed", 100);
    writeSync(descriptor, page, 0, PAGE_BYTES, at);
  } finally {
    closeSync(descriptor);
  }
}

export type Changes = { edited: number; added: number; deleted: number; renamed: number };

/** Edits, deletes and renames every so-many-th file below `folder`, and adds some, new folders included. */
export function changeTree(folder: string): Changes {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const every = Math.max(4, Math.floor(files.length / 80));
  const chosen = files.filter((path, index) => index % every === 0 && lstatSync(path).nlink === 1);
  const changes: Changes = { edited: 0, added: 0, deleted: 0, renamed: 0 };
  for (const [index, path] of chosen.entries()) {
    switch (index % 4) {
      case 0:
        appendFileSync(path, `changed after the first night (${index})\n`);
        changes.edited++;
        break;
      case 1:
        rmSync(path);
        changes.deleted++;
        break;
      case 2:
        renameSync(path, `${path}.renamed`);
        changes.renamed++;
        break;
      default:
        mkdirSync(join(dirname(path), "new on the second day"), { recursive: true });
        writeFileSync(join(dirname(path), "new on the second day", `${index}.txt`), `written on the second day: ${index}\n`.repeat(50));
        changes.added++;
    }
  }
  return changes;
}
