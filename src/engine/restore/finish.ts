/** The end of a restore, in one worker: large files get their names, then hard links, symbolic links, and directories deepest first. */
import { messageOf } from "../../errors.ts";
import type { Entry } from "../../format/entry.ts";
import { metaOf } from "./entry-meta-of.ts";
import { LISTS } from "./messages.ts";
import { parseEntryLine, type Unpacker } from "./unpacker.ts";
import { streamList } from "./work-list.ts";

export type Finishing = { unpacker: Unpacker; planDir: string; archiveId: string; lost: Set<string>; isResumed: boolean };

/** Returns the paths that are lost in the end: with the files, the links to them. */
export async function finishRestore({ unpacker, planDir, archiveId, lost, isResumed }: Finishing): Promise<Set<string>> {
  const { target, partials, owners } = unpacker;
  partials.closeAll();
  for await (const entry of entries(planDir, LISTS.large)) {
    if (lost.has(entry.path)) target.removePartial(entry.path, archiveId);
    else finishLarge(unpacker, entry, archiveId);
  }
  for await (const entry of entries(planDir, LISTS.links)) {
    const first = entry.hardlink ?? "";
    if (lost.has(first)) lost.add(entry.path);
    else linkOrLose(unpacker, entry, first, lost);
  }
  for await (const entry of entries(planDir, LISTS.symlinks)) target.makeSymlink(entry.path, entry.target ?? "", metaOf(entry, owners));
  const directories: string[] = [];
  for await (const line of streamList(planDir, LISTS.directories)) directories.push(line);
  for (const line of directories.toReversed()) {
    const entry = parseEntryLine(line);
    target.makeDirectory(entry.path);
    if (isResumed) target.removeLeftovers(entry.path, () => false);
    target.applyDirectoryMeta(entry.path, metaOf(entry, owners));
  }
  return lost;
}

async function* entries(planDir: string, list: string): AsyncGenerator<Entry> {
  for await (const line of streamList(planDir, list)) yield parseEntryLine(line);
}

/** A large file is made even when none of its chunks had to be written: it may be one hole. */
function finishLarge({ target, partials, owners }: Unpacker, entry: Entry, archiveId: string): void {
  partials.ensure(entry.path, entry.size);
  partials.closeAll();
  target.finishPartial(entry.path, archiveId, metaOf(entry, owners));
}

/** The first name may be missing: of a FIFO or device this process may not make. */
function linkOrLose(unpacker: Unpacker, entry: Entry, first: string, lost: Set<string>): void {
  if (unpacker.target.lookup(first) === null) {
    unpacker.losses.add(entry.path, `hard link (${first} is not there)`);
    if (entry.type === "file") lost.add(entry.path);
    return;
  }
  try {
    unpacker.target.makeHardLink(entry.path, first);
  } catch (error) {
    unpacker.losses.add(entry.path, `hard link (${messageOf(error)})`);
  }
}
