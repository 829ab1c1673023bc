import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { expect, test } from "vitest";
import { readMounts } from "../../../src/disk/mounts.ts";
import { walk, type WalkItem } from "../../../src/disk/walk.ts";
import { packBatch, unpackBatch } from "../../../src/engine/backup/walk-batch.ts";
import { WalkFeed } from "../../../src/engine/backup/walk-feed.ts";
import { fileTempDir } from "../../support/temp-dir.ts";

const dir = fileTempDir();

/** What a message leaves of a value. */
function sent<T>(value: T): T {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(value);
  const received = receiveMessageOnPort(port2);
  port1.close();
  return received?.message as T;
}

function itemsOf(folder: string): WalkItem[] {
  return [...walk({ sources: [folder, join(folder, "missing")], skip: () => false, mounts: readMounts(), excludedDirs: [] })];
}

test("every kind of item comes through a message as it was, in its place", async () => {
  const folder = join(dir, "kinds");
  mkdirSync(join(folder, "empty"), { recursive: true });
  writeFileSync(join(folder, "a file"), "content");
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/raw-`), Buffer.of(0xff, 0xfe)]), "raw name");
  writeFileSync(join(folder, "línea\nünd 日本"), "");
  symlinkSync("a file", join(folder, "link"));
  const server = createServer().listen(join(folder, "socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  const items = itemsOf(folder);
  server.close();
  expect(new Set(items.map(({ kind }) => kind))).toEqual(new Set(["entry", "socket", "problem"]));
  expect(items.some((item) => item.kind === "entry" && item.bare === true)).toBe(true);
  expect(unpackBatch(sent(packBatch(items)))).toEqual(items);
  expect(unpackBatch(sent(packBatch([])))).toEqual([]);
});

test("the feed hands out items in order, says when the walk has to find more, and acknowledges each batch it begins", () => {
  const items = itemsOf(join(dir, "kinds"));
  const { port1, port2 } = new MessageChannel();
  const feed = new WalkFeed(port1);
  const acknowledged = (): number => {
    let count = 0;
    while (receiveMessageOnPort(port2) !== undefined) count++;
    return count;
  };
  expect(feed.next()).toBe("later");
  feed.take({ kind: "items", batch: packBatch(items.slice(0, 2)) });
  feed.take({ kind: "items", batch: packBatch(items.slice(2)) });
  expect(acknowledged()).toBe(0);
  expect(feed.next()).toEqual(items[0]);
  expect(acknowledged()).toBe(1);
  expect(items.slice(1).map(() => feed.next())).toEqual(items.slice(1));
  expect(acknowledged()).toBe(1);
  expect(feed.next()).toBe("later");
  feed.take({ kind: "items", batch: packBatch([]) });
  feed.take({ kind: "end" });
  expect(feed.next()).toBeNull();
  expect(() => feed.take({ kind: "error", error: { code: "E_CONFIG", message: "relative" } })).toThrow("relative");
  port1.close();
});
