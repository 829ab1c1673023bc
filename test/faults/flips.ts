/** A small sound vault, and one bit of it flipped for as long as something looks at it. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Chance } from "../support/chance.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import { runInProcess } from "../support/in-process.ts";
import { contentOfDirectory, violate } from "../support/invariants.ts";
import { treeDigest } from "../support/program.ts";
import type { RestoreDocument } from "../support/restore.ts";
import { fileTempDir, removeTree } from "../support/temp-dir.ts";

export type Place = { key: string; at: number; bit: number };

export class FlipVault {
  readonly host: TestHost;
  /** Every byte of every manifest, catalog and volume. */
  readonly places: readonly Place[];
  /** The source as each archive has it. */
  readonly #trees: ReadonlyMap<string, string>;

  private constructor(host: TestHost, trees: ReadonlyMap<string, string>) {
    this.host = host;
    this.#trees = trees;
    const objects = [...contentOfDirectory(host.region("a"))].filter(([key]) => /^hosts\/web1\/(archives|catalogs|volumes)\//.test(key));
    this.places = objects.flatMap(([key, bytes]) => Array.from(bytes, (_, at): Place => ({ key, at, bit: 1 })));
  }

  static async create(): Promise<FlipVault> {
    const host = await setUpHost({ dir: fileTempDir(), tree: { "a.txt": "alpha", "b/c.txt": "gamma" } });
    const trees = new Map<string, string>();
    const night = async (): Promise<void> => {
      const { document } = await host.backup();
      trees.set(document.archive ?? "", treeDigest(host.source));
    };
    await night();
    writeFileSync(join(host.source, "d.txt"), "delta");
    await night();
    return new FlipVault(host, trees);
  }

  /** Bytes in an order and bits of a byte that chance decides. */
  shuffled(chance: Chance): Place[] {
    return chance.shuffled(this.places).map((place) => ({ ...place, bit: 1 << chance.below(8) }));
  }

  async #withFlip<T>(regions: readonly string[], { key, at, bit }: Place, use: () => Promise<T>): Promise<T> {
    const before = regions.map((region) => [join(this.host.region(region), key), readFileSync(join(this.host.region(region), key))] as const);
    for (const [path, bytes] of before) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ bit;
      writeFileSync(path, flipped);
    }
    try {
      return await use();
    } finally {
      for (const [path, bytes] of before) writeFileSync(path, bytes);
    }
  }

  async #verify(): Promise<{ status: number | null; stdout: string }> {
    return runInProcess(["verify", "--json", "--all", "--level", "checksum", "--kit", this.host.movedKit]);
  }

  /** Throws where the vault as it stands is not sound. */
  async checkSound(): Promise<void> {
    const { status, stdout } = await this.#verify();
    if (status !== 0) violate("I5 what is whole is a success", stdout);
  }

  /** Verify names the region and the object. Throws a Violation. */
  async checkFound(place: Place): Promise<void> {
    const { status, stdout } = await this.#withFlip(["a"], place, () => this.#verify());
    const id = /\/([^/.]+)\.[a-z.]+$/.exec(place.key)?.[1] ?? "none";
    const isNamed = stdout.includes(id) && /"a":\{"state":"(?:damaged|behind)"/.test(stdout);
    if (status !== 3 || !isNamed) violate("I5 a region that is not whole is no success", `${place.key}, byte ${place.at}: exit ${status}: ${stdout.slice(0, 600)}`);
  }

  async #restored(): Promise<{ document: RestoreDocument; status: number | null; stderr: string; tree: string | null; wrong: string[] }> {
    const { host } = this;
    const out = join(host.dir, "out");
    removeTree(out);
    const run = await runInProcess(["restore", "--json", "--kit", host.movedKit, "--to", out]);
    const root = out + host.source;
    const files = existsSync(root) ? readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(root, name)).isFile()) : [];
    const wrong = files.filter((name) => !readFileSync(join(root, name)).equals(readFileSync(join(host.source, name))));
    return { document: run.json<RestoreDocument>(), status: run.status, stderr: run.stderr, tree: files.length === 0 ? null : treeDigest(root), wrong };
  }

  /** The flip in one region, then in the same place of both. Throws a Violation. */
  async checkRestored(place: Place): Promise<void> {
    const where = `${place.key}, byte ${place.at}`;
    const [newest = ""] = [...this.#trees.keys()].slice(-1);
    const one = await this.#withFlip(["a"], place, () => this.#restored());
    if (one.status !== 0 || one.tree !== this.#trees.get(newest)) violate("I1 what is right somewhere is restored", `${where}: exit ${one.status}: ${one.stderr}`);
    const both = await this.#withFlip(["a", "b"], place, () => this.#restored());
    if (both.wrong.length > 0) violate("I1 nothing wrong is written", `${where}: ${both.wrong.join(", ")}`);
    if (both.status === 0) {
      const { archive } = both.document;
      if (both.tree !== this.#trees.get(archive)) violate("I1 what is restored is what was archived", where);
      // A flip in an older archive is none of the latest's business. Of a manifest that is wrong everywhere the one before is taken, and that is said.
      if (archive !== newest && !new RegExp(`warning: .*${newest}`).test(both.stderr)) violate("I5 every end is a word", `${where}: ${both.stderr}`);
    } else if (!/^(?:E_OBJECT|E_FORMAT|E_SIGNER|E_REFUSED|E_NOT_FOUND|partial)$/.test(both.document.error?.code ?? both.document.status)) {
      violate("I5 every end is a word", `${where}: ${both.stderr}`);
    }
  }
}
