/**
 * Items of a walk on their way between threads. Most are entries of few fields: theirs go as one text and one array of
 * numbers, because a message of objects costs more time than the walk does.
 */
import type { FileType, Stat } from "../../disk/stat.ts";
import type { WalkItem } from "../../disk/walk.ts";

export type WalkBatch = {
  /** TEXTS fields of every plain entry, each ended by NUL, which no path holds. */
  text: string;
  /** NUMBERS fields of every item; the first is its type's place in TYPES, or OTHER. */
  numbers: Float64Array<ArrayBuffer>;
  /** The items that are not plain, in order. */
  others: WalkItem[];
};

const TYPES: readonly FileType[] = ["file", "dir"];
const OTHER = -1;
const TEXTS = 5;
const NUMBERS = 7;
const NO_DEVICE = "0:0";

/** The message for some items. */
export function packBatch(items: readonly WalkItem[]): WalkBatch {
  const numbers = new Float64Array(items.length * NUMBERS);
  const others: WalkItem[] = [];
  let text = "";
  items.forEach((item, index) => {
    const type = item.kind === "entry" && item.bare === undefined ? TYPES.indexOf(item.stat.type) : OTHER;
    numbers[index * NUMBERS] = type;
    if (item.kind !== "entry" || type === OTHER) {
      others.push(item);
      return;
    }
    const { mode, uid, gid, size, nlink, blocks, mtime, ctime, ino, dev } = item.stat;
    numbers.set([type, mode, uid, gid, size, nlink, blocks], index * NUMBERS);
    text += `${item.path}\0${mtime}\0${ctime}\0${ino}\0${dev}\0`;
  });
  return { text, numbers, others };
}

/** The items of a message. */
export function unpackBatch({ text, numbers, others }: WalkBatch): WalkItem[] {
  const texts = text.split("\0");
  const items: WalkItem[] = [];
  let at = 0;
  let other = 0;
  for (let number = 0; number < numbers.length; number += NUMBERS) {
    const type = TYPES[numbers[number] ?? OTHER];
    const item = type === undefined ? others[other++] : { kind: "entry" as const, path: texts[at] ?? "", stat: plainStat(type, texts, at, numbers, number) };
    if (type !== undefined) at += TEXTS;
    if (item !== undefined) items.push(item);
  }
  return items;
}

function plainStat(type: FileType, texts: readonly string[], at: number, numbers: Float64Array, number: number): Stat {
  return {
    type,
    mode: numbers[number + 1] ?? 0,
    uid: numbers[number + 2] ?? 0,
    gid: numbers[number + 3] ?? 0,
    size: numbers[number + 4] ?? 0,
    mtime: texts[at + 1] ?? "",
    ctime: texts[at + 2] ?? "",
    ino: texts[at + 3] ?? "",
    dev: texts[at + 4] ?? "",
    nlink: numbers[number + 5] ?? 0,
    rdev: NO_DEVICE,
    blocks: numbers[number + 6] ?? 0,
  };
}
