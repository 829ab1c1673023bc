/** A copy of a real directory, to see whether figures from the made tree hold on one's own data. */
import { spawn } from "node:child_process";
import { appendFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MIB } from "../../../src/units.ts";
import { below, randomOf } from "./random.ts";
import { errorCode } from "./tree-facts.ts";

const REWRITTEN_BYTES_MAX = 16 * MIB;

export class CopiedTree {
  readonly folder: string;
  readonly paths: string[] = [];
  bytes = 0;
  readonly #from: string;
  readonly #seed: number;

  constructor(folder: string, from: string, seed: number) {
    this.folder = folder;
    this.#from = from;
    this.#seed = seed;
  }

  async write(signal?: AbortSignal): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
    const child = spawn("cp", ["-a", "--", `${this.#from}/.`, this.folder], { stdio: ["ignore", "ignore", "pipe"], ...(signal && { signal }) });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const status = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
    if (status !== 0) throw new Error(`cp -a of ${this.#from} ended with ${String(status)}: ${said.slice(0, 1000)}`);
    this.#list(this.folder);
    if (this.paths.length === 0) throw new Error(`${this.#from} holds no regular file`);
  }

  /** Changes one in `every` of the regular files, chosen by the seed and the round: a line more, or its halves in turn. */
  change(every: number, round: number): void {
    const random = randomOf(this.#seed + round);
    for (const path of this.paths) {
      if (below(random, every) !== 0) continue;
      const isAppended = random() < 0.5;
      try {
        // The halves in turn compress as the file did, and are still content that nobody has stored.
        const content = isAppended || lstatSync(path).size > REWRITTEN_BYTES_MAX ? undefined : readFileSync(path);
        const line = `changed in round ${round}: ${path}\n`;
        if (content === undefined) appendFileSync(path, line);
        else writeFileSync(path, Buffer.concat([content.subarray(content.length >> 1), content.subarray(0, content.length >> 1), Buffer.from(line)]));
      } catch (error) {
        // Copied with its mode, which may forbid writing to whoever runs this.
        if (errorCode(error) !== "EACCES") throw error;
      }
    }
  }

  /** Regular files with one name, in the same order everywhere. */
  #list(dir: string): void {
    for (const entry of readdirSync(dir, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) this.#list(path);
      if (!entry.isFile()) continue;
      const { nlink, size } = lstatSync(path);
      this.bytes += size;
      if (nlink === 1) this.paths.push(path);
    }
  }
}
