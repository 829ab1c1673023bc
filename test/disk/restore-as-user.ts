/** Run by restore-target.test.ts as a process of its own: restores as an unprivileged user and prints what became of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Losses } from "../../src/disk/losses.ts";
import { openTarget } from "../../src/disk/open-target.ts";
import { readXattrs } from "../../src/disk/read-file.ts";

const [dir = ""] = process.argv.slice(2);
if (process.geteuid?.() === 0) {
  process.setgroups?.([]);
  process.setegid?.(65_534);
  process.seteuid?.(65_534);
}
const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
const losses = new Losses();
const target = openTarget(dir, { merge: true, losses });
const mtime = "5.000000005";
target.writeFile("/own/foreign", Buffer.from("x"), { mode: 0o6755, uid: 4321, gid: 8765, mtime });
target.writeFile("/own/mine", Buffer.from("x"), { mode: 0o4755, uid, gid, mtime });
target.writeFile("/own/note", Buffer.from("x"), { mode: 0o400, uid, gid, mtime, xattrs: [{ name: "user.note", value: Buffer.from("kept") }] });
target.writeFile("/own/trusted", Buffer.from("x"), { mode: 0o600, uid, gid, mtime, xattrs: [{ name: "trusted.x", value: Buffer.from("x") }] });
target.makeNode("/own/null", "char", "1:3", { mode: 0o666, uid, gid, mtime });
target.applyDirectoryMeta("/own", { mode: 0o500, uid, gid, mtime });
target.close();

const again = openTarget(dir, { merge: true, losses });
again.writeFile("/own/mine", Buffer.from("again"), { mode: 0o4755, uid, gid, mtime });
const modes = Object.fromEntries(["/own/foreign", "/own/mine"].map((path) => [path, again.lookup(path)?.mode]));
const resumed = readFileSync(join(dir, "own/mine"), "utf8");
const note = readXattrs(join(dir, "own/note")).xattrs[0]?.value.toString();
console.log(JSON.stringify({ losses: Object.fromEntries(losses.list().map(({ what, examples }) => [what, examples])), modes, resumed, note }));
