/** `coldkeep files`: what an archive holds. */
import type { CatalogReader } from "../engine/catalog-reader.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import { isContinuation, type Entry } from "../format/entry.ts";
import { isWithin } from "../format/entry-path.ts";
import type { CommandContext } from "./command.ts";
import { entryDocument, longLine } from "./entry-text.ts";
import { LinePrinter } from "./line-printer.ts";
import { openSealedVault } from "./open.ts";
import { printable } from "./printable.ts";
import type { FilesOptions } from "./verb-options.ts";

/** Longer lists are cut in JSON, and say so. */
const LISTED_MAX = 10_000;

/** An entry's path as typed, which may end in a slash. Throws E_USAGE. */
function wantedPath(given: string | undefined): string {
  if (given === undefined) return "/";
  if (!given.startsWith("/")) {
    throw new ColdkeepError("E_USAGE", `"${given}" is not an absolute path`, { hint: "Archived paths begin with /, as `coldkeep files` prints them." });
  }
  return given.replace(/\/+$/, "") || "/";
}

/** The entries at and below `path`, from the segments that may hold them. */
async function* entriesBelow(catalog: CatalogReader, path: string): AsyncGenerator<Entry> {
  const segments = catalog.segmentsFor([path]);
  await catalog.fetch(segments);
  for (const line of catalog.lines(segments)) {
    if (!isContinuation(line) && isWithin(line.path, path)) yield line;
  }
}

export async function run(context: CommandContext, args: readonly string[], options: FilesOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const path = wantedPath(args[0]);
  using vault = await openSealedVault(context, options);
  const { seen, manifest } = await vault.archive(options.archive);
  const catalog = await vault.catalog(seen, manifest);
  const printer = new LinePrinter(terminal);
  const documents: unknown[] = [];
  let total = 0;
  for await (const entry of entriesBelow(catalog, path)) {
    if (++total % 1000 === 0) signal.throwIfAborted();
    if (!terminal.wantsJson) printer.print(options.long ? longLine(entry) : printable(entry.path));
    else if (documents.length < LISTED_MAX) documents.push(entryDocument(entry));
  }
  printer.end();
  if (total === 0 && path !== "/") {
    throw new ColdkeepError("E_NOT_FOUND", `archive ${seen.header.id} does not hold ${path}`, { hint: "Run `coldkeep files` on the directory above it, or choose another archive with --archive." });
  }
  if (terminal.wantsJson) terminal.json({ archive: seen.header.id, host: seen.header.host, total, entries: documents });
  return EXIT.done;
}
