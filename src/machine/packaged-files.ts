/** Which files packages have brought, out of dpkg's own database (dpkg(1), /var/lib/dpkg/info). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { textFromBytes } from "../format/byte-text.ts";

/** Where a merged /usr shows the same files a second time; packages name either. */
const MERGED = /^\/(?:bin|sbin|lib|lib32|lib64|libx32)\//;

function linesOf(path: string): string[] {
  try {
    return textFromBytes(readFileSync(path)).split("\n").filter((line) => line.startsWith("/"));
  } catch {
    return [];
  }
}

/**
 * Files and links, but not directories or configuration files, that installed packages of the system at `root` own; paths in byte
 * text. Empty where dpkg is not the package manager.
 */
export function packagedFiles(root = "/"): Set<string> {
  const info = join(root, "var/lib/dpkg/info");
  const owned = new Set<string>();
  const directories = new Set<string>(["/."]);
  let names: string[] = [];
  try {
    names = readdirSync(info);
  } catch {
    return owned;
  }
  for (const name of names.filter((each) => each.endsWith(".list"))) {
    for (const path of linesOf(join(info, name))) {
      owned.add(path);
      directories.add(path.slice(0, path.lastIndexOf("/")));
    }
  }
  for (const name of names.filter((each) => each.endsWith(".conffiles"))) for (const path of linesOf(join(info, name))) owned.delete(path.replace(/^remove-on-upgrade /, ""));
  for (const path of directories) owned.delete(path);
  return new Set([...owned].flatMap((path) => (MERGED.test(path) ? [path, `/usr${path}`] : [path])));
}
