/** Work lists: catalog lines sorted into one file a volume, with little memory whatever the number of lines. */
import { appendFileSync, createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const HELD_BYTES_MAX = 32 * 1024 * 1024;

export class WorkLists {
  readonly #directory: string;
  readonly #held = new Map<string, string[]>();
  #heldBytes = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  add(list: string, line: string): void {
    const lines = this.#held.get(list);
    if (lines === undefined) this.#held.set(list, [line]);
    else lines.push(line);
    this.#heldBytes += line.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.flush();
  }

  flush(): void {
    for (const [list, lines] of this.#held) appendFileSync(join(this.#directory, list), `${lines.join("\n")}\n`, { mode: 0o600 });
    this.#held.clear();
    this.#heldBytes = 0;
  }
}

/** The lines of a list, all at once; none when nothing was put on it. For lists as long as a volume's. */
export function readList(directory: string, list: string): string[] {
  let text: string;
  try {
    text = readFileSync(join(directory, list), "utf8");
  } catch {
    return [];
  }
  return text.split("\n").filter((line) => line !== "");
}

/** The lines of a list that may be as long as the archive, one at a time. */
export async function* streamList(directory: string, list: string): AsyncGenerator<string> {
  const stream = createReadStream(join(directory, list), "utf8");
  try {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) if (line !== "") yield line;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}
