/** Our own program, from outside, as it comes to a bare machine. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Measured, Meter } from "../measure.ts";
import type { Place } from "../stores.ts";
import type { Contestant, Depth } from "./contestant.ts";

export const projectFolder = fileURLToPath(new URL("../../..", import.meta.url));

/**
 * Builds the single executable away from the checkout, which others may be changing. Returns the path of a copy: a file that was
 * written in one piece lies in the page cache in large pieces, all of which count as the program's own memory (39 MB more), unlike
 * one that was downloaded, copied or read from disk.
 */
export function buildProgram(folder: string): string {
  const built = join(folder, "built");
  const { status, stderr } = spawnSync(process.execPath, [join(projectFolder, "bin/single/build.ts"), built], { cwd: projectFolder, encoding: "utf8" });
  if (status !== 0) throw new Error(`the build failed:\n${stderr}`);
  const program = join(folder, "coldkeep");
  copyFileSync(join(built, "coldkeep"), program);
  rmSync(built, { recursive: true });
  return program;
}

export class Coldkeep implements Contestant {
  readonly name = "coldkeep";
  readonly #folder: string;
  readonly #source: string;
  readonly #places: readonly Place[];
  readonly #meter: Meter;
  readonly #program: string;

  /** `folder` is its own; it archives `source` into every one of `places`. */
  constructor(folder: string, source: string, places: readonly Place[], meter: Meter, program: string) {
    this.#folder = folder;
    this.#source = source;
    this.#places = places;
    this.#meter = meter;
    this.#program = program;
  }

  /** Where the host keeps what it remembers. */
  get stateFolder(): string {
    return join(this.#folder, "etc/state");
  }

  async prepare(): Promise<void> {
    for (const name of ["etc", "safe"]) mkdirSync(join(this.#folder, name), { recursive: true, mode: 0o700 });
    const regions = this.#places.flatMap(({ url }, index) => ["--region", `r${index}=${url}`]);
    const kit = join(this.#folder, "kit.txt");
    await this.#run(["init", "--config", this.#config, "--kit", kit, "--host", "bench", "--source", this.#source, ...regions]);
    // A backup warns while the kit lies where `init` put it.
    renameSync(kit, this.#kit);
  }

  backup(): Promise<Measured> {
    return this.#run(["backup", "--config", this.#config]);
  }

  restore(target: string, onto: "nothing" | "earlier"): Promise<Measured> {
    return this.#run(["restore", "--kit", this.#kit, "--to", target, ...(onto === "earlier" ? ["--merge"] : []), this.#source]);
  }

  /** Nothing of an earlier run is at hand. */
  restoreOne(path: string, target: string): Promise<Measured> {
    const bare = mkdtempSync(join(this.#folder, "bare-"));
    const folders = ["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"].map((name) => [name, join(bare, name)] as const);
    for (const [, each] of folders) mkdirSync(each);
    return this.#run(["restore", "--kit", this.#kit, "--to", target, path], Object.fromEntries(folders));
  }

  /** In both regions. */
  verify(depth: Depth): Promise<Measured> {
    const authority = depth === "content" ? ["--kit", this.#kit] : ["--config", this.#config];
    return this.#run(["verify", "--level", depth, ...authority]);
  }

  list(): Promise<Measured> {
    return this.#run(["list", "--config", this.#config]);
  }

  start(): Promise<Measured> {
    return this.#run(["--version"]);
  }

  async storedBytes(): Promise<number> {
    return (await this.#places[0]?.storedBytes()) ?? 0;
  }

  get #config(): string {
    return join(this.#folder, "etc/coldkeep.yaml");
  }

  get #kit(): string {
    return join(this.#folder, "safe/kit.txt");
  }

  #run(args: readonly string[], env: Record<string, string> = {}): Promise<Measured> {
    const keys = this.#places.flatMap(({ keys }, index) => (keys === undefined ? [] : [[`COLDKEEP_R${index}_ACCESS_KEY_ID`, keys.accessKeyId], [`COLDKEEP_R${index}_SECRET_ACCESS_KEY`, keys.secretAccessKey]]));
    return this.#meter.run({ argv: [this.#program, ...args], env: { ...Object.fromEntries(keys), ...env } });
  }
}
