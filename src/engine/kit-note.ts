/** Remembers where `init` wrote a kit with the owner's identity, so that every backup can say when it still lies there (promise 2). */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { readPrivateFile } from "../config/private-file.ts";
import { writeFileDurable } from "../disk/atomic-write.ts";
import type { Emit } from "./events.ts";

const NOTE = "kit-path";

function notedPaths(keysDir: string): string[] {
  return (readPrivateFile(join(keysDir, NOTE)) ?? "").split("\n").filter((path) => path !== "");
}

/** Notes a path, before the kit is written there: a killed `init` leaves no kit nobody knows of. Throws E_REFUSED, system errors. */
export function noteKitPath(keysDir: string, kitPath: string): void {
  const paths = notedPaths(keysDir);
  if (paths.includes(kitPath)) return;
  writeFileDurable(join(keysDir, NOTE), Buffer.from([...paths, kitPath, ""].join("\n")), 0o600);
}

/** Tells of every noted kit that is still there. Throws E_REFUSED. */
export function warnOfKit(keysDir: string, emit: Emit): void {
  for (const path of notedPaths(keysDir)) {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) continue;
    emit({
      kind: "warning",
      message: `the kit still lies at ${path}, where \`coldkeep init\` wrote it: whoever takes over this host can read its archives`,
      hint: "Move it off this host, and keep a second copy elsewhere.",
    });
  }
}
