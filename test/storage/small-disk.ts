/** Run in a mount namespace of its own by directory-disk.server.test.ts: puts into a disk that is too small, then read-only. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { openDirectoryStore } from "../../src/storage/directory-store.ts";
import { digestOf, faultOf, readAll } from "./store-calls.ts";

const root = process.argv[2] ?? "";
execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", root]);
const store = openDirectoryStore(root);
const large = Buffer.alloc(2 * 1024 * 1024);
const small = Buffer.from("body");
const full = await faultOf(store.put("large", large, { sha256: digestOf(large) }));
const left = readdirSync(root);
const withRoom = await store.put("small", small, { sha256: digestOf(small) });
execFileSync("mount", ["-o", "remount,ro", root]);
const readOnly = await faultOf(store.put("other", small, { sha256: digestOf(small) }));
const read = (await readAll(store, "small")).toString();
console.log(JSON.stringify({ full, left, withRoom, readOnly, read }));
