/** The steps of each part of a round, in their order. */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { formatSize, MIB } from "../../src/units.ts";
import { CopiedTree } from "./corpus/copied-tree.ts";
import { DatabaseCorpus } from "./corpus/database.ts";
import { MediaCorpus } from "./corpus/media.ts";
import { TreeCorpus } from "./corpus/tree.ts";
import type { Options, Part } from "./options.ts";
import type { Scene } from "./scene.ts";

const SEED = 20_261_123;
const START_TIMES = 5;

/** Writes the part's source and measures its rows. */
export function playPart(part: Part, scene: Scene, options: Options): Promise<void> {
  switch (part) {
    case "tree":
      return playTree(scene, options);
    case "database":
      return playDatabase(scene, options);
    case "media":
      return playMedia(scene, options);
    case "startup":
      return scene.measure("start-up", (contestant) => contestant.start?.(), { times: START_TIMES });
  }
}

async function playTree(scene: Scene, { files, tree, times }: Options): Promise<void> {
  const { source, round, signal, tell } = scene.setup;
  const corpus = tree === undefined ? new TreeCorpus(source, files, SEED) : new CopiedTree(source, tree, SEED);
  await corpus.write(signal);
  tell(`${corpus.paths.length} files, ${formatSize(corpus.bytes)}`);
  await scene.settle();
  await scene.measure("first archive", (contestant) => contestant.backup?.(), { stores: true });
  scene.forget("tar|zstd|age");
  await scene.measure("unchanged night", (contestant) => contestant.backup?.(), { stores: true });
  await scene.measureRestore("full restore", "nothing");
  await scene.measure("verify: presence", (contestant) => contestant.verify?.("presence"));
  await scene.measure("verify: checksum", (contestant) => contestant.verify?.("checksum"));
  await scene.measure("verify: content", (contestant) => contestant.verify?.("content"));
  await scene.measure("list", (contestant) => contestant.list?.(), { times });
  corpus.change(100, round + 1);
  scene.sync();
  await scene.measure("1 % of files changed", (contestant) => contestant.backup?.(), { stores: true });
  await scene.measureRestore("second restore, merged", "earlier");
  await scene.measureOneFile("one file, nothing cached", oneFileOf(corpus.paths), times);
}

/** A small file from the middle of the tree, whose name no program takes for a pattern. */
function oneFileOf(paths: readonly string[]): string {
  const from = paths.slice(Math.floor(paths.length / 3));
  const path = [...from, ...paths].find((each) => /^[\w./ -]+$/.test(each) && lstatSync(each).size < MIB);
  if (path === undefined) throw new Error("the tree holds no small file with a plain name");
  return path;
}

async function playDatabase(scene: Scene, { databaseBytes }: Options): Promise<void> {
  const { source, round, signal, tell } = scene.setup;
  const corpus = new DatabaseCorpus(join(source, "table"), databaseBytes, SEED);
  await corpus.write(signal);
  tell(`a file of ${formatSize(corpus.bytes)}`);
  scene.sync();
  await scene.measure("large file, first", (contestant) => contestant.backup?.(), { stores: true });
  scene.forget("tar|zstd|age");
  corpus.change(0.01, round + 1);
  scene.sync();
  await scene.measure("large file, 1 % of pages", (contestant) => contestant.backup?.(), { stores: true });
}

async function playMedia(scene: Scene, { mediaBytes }: Options): Promise<void> {
  const { source, signal, tell } = scene.setup;
  const corpus = new MediaCorpus(source, mediaBytes, SEED);
  await corpus.write(signal);
  tell(`${corpus.files} files that do not compress, ${formatSize(corpus.bytes)}`);
  scene.sync();
  await scene.measure("media, first", (contestant) => contestant.backup?.(), { stores: true });
  await scene.measureRestore("media, restore", "nothing");
}
