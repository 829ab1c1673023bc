/** The same steps as commands of coldkeep and of restic. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command, Measured, Meter } from "./measure.ts";
import type { Place } from "./stores.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** One program with a vault of its own for one source. */
export type Contestant = {
  readonly name: string;
  /** Makes the vault; not measured. */
  prepare(): Promise<void>;
  backup(): Promise<Measured>;
  restore(target: string): Promise<Measured>;
  /** One path, on a machine that has nothing cached. */
  restoreOne(path: string, target: string): Promise<Measured>;
  version(): Promise<Measured>;
  /** Bytes of one full copy. */
  storedBytes(): Promise<number>;
};

/** Builds the program as it is published, away from the checkout, which others may be changing. */
export function buildProgram(folder: string): string {
  const target = join(folder, "program");
  mkdirSync(target);
  for (const name of ["bin", "package.json"]) cpSync(join(root, name), join(target, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(target, "node_modules"));
  const tsc = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", join(root, "src"), "--outDir", join(target, "dist"), "--noEmitOnError"], { encoding: "utf8" });
  if (!existsSync(join(target, "dist/cli/main.js"))) throw new Error(`the build failed:\n${tsc.stdout}`);
  for (const name of ["recover.sh", "RECOVERY.md"]) cpSync(join(root, "src/recovery", name), join(target, "dist/recovery", name));
  return join(target, "bin/coldkeep.js");
}

export class Coldkeep implements Contestant {
  readonly name = "coldkeep";
  readonly #folder: string;
  readonly #source: string;
  readonly #places: readonly Place[];
  readonly #meter: Meter;
  readonly #program: string;

  constructor(folder: string, source: string, places: readonly Place[], meter: Meter, program: string) {
    this.#folder = folder;
    this.#source = source;
    this.#places = places;
    this.#meter = meter;
    this.#program = program;
  }

  async prepare(): Promise<void> {
    for (const name of ["etc", "safe"]) mkdirSync(join(this.#folder, name), { recursive: true, mode: 0o700 });
    const regions = this.#places.flatMap(({ url }, index) => ["--region", `r${index}=${url}`]);
    const kit = join(this.#folder, "kit.txt");
    await this.#run("init", "--config", this.#config, "--kit", kit, "--host", "bench", "--source", this.#source, ...regions);
    renameSync(kit, this.#kit);
  }

  backup(): Promise<Measured> {
    return this.#run("backup", "--config", this.#config);
  }

  restore(target: string): Promise<Measured> {
    return this.#run("restore", "--kit", this.#kit, "--to", target, this.#source);
  }

  restoreOne(path: string, target: string): Promise<Measured> {
    return this.#run("restore", "--kit", this.#kit, "--to", target, path);
  }

  version(): Promise<Measured> {
    return this.#meter.run({ argv: [process.execPath, this.#program, "--version"], env: {} });
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

  #run(...args: string[]): Promise<Measured> {
    const keys = this.#places.flatMap(({ keys }, index) => (keys === undefined ? [] : [[`COLDKEEP_R${index}_ACCESS_KEY_ID`, keys.accessKeyId], [`COLDKEEP_R${index}_SECRET_ACCESS_KEY`, keys.secretAccessKey]]));
    const profile = process.env["BENCH_NODE_OPTIONS"];
    const env = { ...Object.fromEntries(keys), ...(profile !== undefined && { NODE_OPTIONS: profile }) };
    return this.#meter.run({ argv: [process.execPath, this.#program, ...args], env: { NODE_COMPILE_CACHE: join(this.#folder, "compiled"), ...env } });
  }
}

export function resticVersion(): string | null {
  const done = spawnSync("restic", ["version"], { encoding: "utf8" });
  return done.status === 0 ? done.stdout.trim() : null;
}

export class Restic implements Contestant {
  readonly name = "restic";
  readonly #folder: string;
  readonly #source: string;
  readonly #place: Place;
  readonly #meter: Meter;

  constructor(folder: string, source: string, place: Place, meter: Meter) {
    this.#folder = folder;
    this.#source = source;
    this.#place = place;
    this.#meter = meter;
  }

  async prepare(): Promise<void> {
    await this.#meter.run(this.#command("init"));
  }

  backup(): Promise<Measured> {
    return this.#meter.run(this.#command("backup", this.#source));
  }

  restore(target: string): Promise<Measured> {
    return this.#meter.run(this.#command("restore", "latest", "--target", target));
  }

  restoreOne(path: string, target: string): Promise<Measured> {
    return this.#meter.run(this.#command("--no-cache", "restore", "latest", "--include", path, "--target", target));
  }

  version(): Promise<Measured> {
    return this.#meter.run({ argv: ["restic", "version"], env: {} });
  }

  storedBytes(): Promise<number> {
    return this.#place.storedBytes();
  }

  #command(...args: string[]): Command {
    const { keys, resticUrl, resticOptions } = this.#place;
    const env = { RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: join(this.#folder, "restic-cache") };
    const s3 = keys === undefined ? {} : { AWS_ACCESS_KEY_ID: keys.accessKeyId, AWS_SECRET_ACCESS_KEY: keys.secretAccessKey };
    return { argv: ["restic", "-q", "-r", resticUrl, ...resticOptions, ...args], env: { ...env, ...s3 } };
  }
}
