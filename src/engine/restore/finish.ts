/** The end of a restore, in one worker: large files get their names, then hard links, symbolic links, and directories deepest first. */
import { messageOf, systemCode } from "../../errors.ts";
import type { Entry } from "../../format/entry.ts";
import { metaOf } from "./entry-meta-of.ts";
import { LISTS } from "./messages.ts";
import { parseEntryLine, type Unpacker } from "./unpacker.ts";
import { streamList, streamListBackwards } from "./work-list.ts";

export type Finishing = {
  unpacker: Unpacker;
  planDir: string;
  archiveId: string;
  lost: Set<string>;
  /** Whether an earlier restore may have left unfinished files. */
  clean: boolean;
};

/** Returns the paths that are lost in the end: with the files, the links to them. */
export function finishRestore({ unpacker, planDir, archiveId, lost, clean }: Finishing): Set<string> {
  const { target, partials, ownership } = unpacker;
  partials.closeAll();
  for (const line of streamList(planDir, LISTS.large)) {
    const entry = parseEntryLine(line);
    if (lost.has(entry.path)) target.removePartial(entry.path, archiveId);
    else finishLarge(unpacker, entry, archiveId);
  }
  linkAll(unpacker, planDir, LISTS.links, lost);
  for (const line of streamList(planDir, LISTS.symlinks)) {
    const entry = parseEntryLine(line);
    target.makeSymlink(entry.path, entry.target ?? "", metaOf(entry, ownership));
  }
  linkAll(unpacker, planDir, LISTS.symlinkLinks, lost);
  const archived = new Set([...streamList(planDir, LISTS.lookalikes)].map((line) => parseEntryLine(line).path));
  for (const line of streamListBackwards(planDir, LISTS.directories)) {
    const entry = parseEntryLine(line);
    target.makeDirectory(entry.path);
    if (clean) target.removeLeftovers(entry.path, (name) => archived.has(entry.path === "/" ? `/${name}` : `${entry.path}/${name}`));
    target.applyDirectoryMeta(entry.path, metaOf(entry, ownership));
  }
  return lost;
}

function linkAll(unpacker: Unpacker, planDir: string, list: string, lost: Set<string>): void {
  for (const line of streamList(planDir, list)) {
    const entry = parseEntryLine(line);
    const first = entry.hardlink ?? "";
    if (lost.has(first)) lost.add(entry.path);
    else linkOrLose(unpacker, entry, first, lost);
  }
}

/** A large file is made even when none of its chunks had to be written: it may be one hole. */
function finishLarge({ target, partials, ownership }: Unpacker, entry: Entry, archiveId: string): void {
  partials.ensure(entry.path, entry.size);
  partials.closeAll();
  target.finishPartial(entry.path, archiveId, metaOf(entry, ownership));
}

/** The first name may be missing: of a FIFO or device this process may not make. */
function linkOrLose(unpacker: Unpacker, entry: Entry, first: string, lost: Set<string>): void {
  const there = unpacker.target.lookup(first);
  try {
    if (there?.type !== entry.type) throw new Error(`${first} is ${there === null ? "not there" : `a ${there.type}`}`);
    unpacker.target.makeHardLink(entry.path, first, entry.type === "symlink");
  } catch (error) {
    // A full disk is no matter of this link.
    if (systemCode(error instanceof Error ? error.cause : error) === "ENOSPC") throw error;
    unpacker.losses.add(entry.path, `hard link (${messageOf(error)})`);
    if (entry.type === "file") lost.add(entry.path);
  }
}
