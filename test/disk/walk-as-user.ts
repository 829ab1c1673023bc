/** Run by walk.test.ts as a process of its own: walks a directory as an unprivileged user and prints the items. */
import { readMounts } from "../../src/disk/mounts.ts";
import { walk } from "../../src/disk/walk.ts";

const [source = "", user] = process.argv.slice(2);
if (process.geteuid?.() === 0 && user !== "root") {
  process.setgroups?.([]);
  process.setegid?.(65_534);
  process.seteuid?.(65_534);
}
console.log(JSON.stringify([...walk({ sources: [source], skip: () => false, mounts: readMounts(), excludedDirs: [] })]));
