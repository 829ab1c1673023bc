/** A vault in buckets of a real server, driven through the program; and another client's view of it. */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Client } from "minio";
import { type ProgramOptions, type ProgramResult, runColdkeep } from "../support/program.ts";
import type { Rgw, S3Endpoint } from "../support/rgw.ts";

/** A second, independent S3 implementation. */
export function minioOf({ endpoint, accessKeyId, secretAccessKey, region }: S3Endpoint): Client {
  const url = new URL(endpoint);
  const useSSL = url.protocol === "https:";
  const client = new Client({ endPoint: url.hostname, port: Number(url.port), useSSL, accessKey: accessKeyId, secretKey: secretAccessKey, region });
  // What is read with it is checked by digests; that the certificate is trusted is checked with the program.
  if (useSSL) client.setRequestOptions({ rejectUnauthorized: false });
  return client;
}

export class RgwVault {
  readonly rgw: Rgw;
  readonly bucket = `coldkeep-test-${randomBytes(5).toString("hex")}`;

  private constructor(rgw: Rgw) {
    this.rgw = rgw;
  }

  /** Makes a bucket of its own in every region. */
  static async create(rgw: Rgw, { objectLock = false } = {}): Promise<RgwVault> {
    const vault = new RgwVault(rgw);
    for (const endpoint of rgw.endpoints) await minioOf(endpoint).makeBucket(vault.bucket, "", { ObjectLocking: objectLock });
    return vault;
  }

  /** From now on these regions, or all, keep versions of what is replaced or deleted. */
  async keepVersions(...indexes: number[]): Promise<void> {
    const endpoints = indexes.length === 0 ? this.rgw.endpoints : indexes.map((index) => this.#endpoint(index));
    for (const endpoint of endpoints) await minioOf(endpoint).setBucketVersioning(this.bucket, { Status: "Enabled" });
  }

  /** Keys of all objects, versions and delete markers of a region, below `prefix` if one is given. */
  async versions(index: number, prefix?: string): Promise<{ name: string; versionId: string }[]> {
    const found: { name: string; versionId: string }[] = [];
    const stream = minioOf(this.#endpoint(index)).listObjects(this.bucket, prefix === undefined ? "" : `${prefix}/`, true, { IncludeVersion: true });
    for await (const { name, versionId = "null" } of stream as AsyncIterable<{ name: string; versionId?: string }>) found.push({ name, versionId });
    return found;
  }

  /** `--region` arguments for init: a vault below `prefix`. */
  regionArguments(prefix: string): string[] {
    return this.rgw.endpoints.flatMap(({ region, endpoint, ca }) => {
      const authority = ca === undefined ? "" : `&ca=${ca}`;
      return ["--region", `${region}=s3://${this.bucket}/${prefix}?endpoint=${endpoint}&aws-region=${region}${authority}`];
    });
  }

  /** The variables with the keys of all regions, or of those named. */
  credentials(...regions: string[]): Record<string, string> {
    const wanted = this.rgw.endpoints.filter(({ region }) => regions.length === 0 || regions.includes(region));
    return Object.fromEntries(
      wanted.flatMap(({ region, accessKeyId, secretAccessKey }) => {
        const name = `COLDKEEP_${region.toUpperCase().replaceAll("-", "_")}`;
        return [[`${name}_ACCESS_KEY_ID`, accessKeyId], [`${name}_SECRET_ACCESS_KEY`, secretAccessKey]];
      }),
    );
  }

  /** Keys of the objects a region holds below `prefix`, with their sizes. */
  async list(index: number, prefix: string): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    const stream = minioOf(this.#endpoint(index)).listObjectsV2(this.bucket, `${prefix}/`, true);
    for await (const { name, size } of stream as AsyncIterable<{ name: string; size: number }>) found.set(name, size);
    return found;
  }

  /** Copies what a region holds below `prefix` into a folder, as `aws s3 sync` would. */
  async copyToDisk(index: number, prefix: string, folder: string): Promise<void> {
    const client = minioOf(this.#endpoint(index));
    for (const key of (await this.list(index, prefix)).keys()) {
      const path = join(folder, key.slice(prefix.length + 1));
      mkdirSync(dirname(path), { recursive: true });
      await client.fGetObject(this.bucket, key, path);
    }
  }

  /** Puts bytes under a key of a region, whatever is there. */
  async put(index: number, key: string, bytes: Buffer): Promise<void> {
    await minioOf(this.#endpoint(index)).putObject(this.bucket, key, bytes);
  }

  /** Deletes keys of a region; where it keeps versions that hides them. */
  async delete(index: number, keys: Iterable<string>): Promise<void> {
    for (const key of keys) await minioOf(this.#endpoint(index)).removeObject(this.bucket, key);
  }

  /** Removes every bucket. */
  async remove(): Promise<void> {
    for (const [index, endpoint] of this.rgw.endpoints.entries()) {
      const client = minioOf(endpoint);
      const found = await this.versions(index);
      for (let at = 0; at < found.length; at += 500) await client.removeObjects(this.bucket, found.slice(at, at + 500));
      await client.removeBucket(this.bucket);
    }
  }

  /** Another S3 client with the keys that the host has. */
  client(index: number): Client {
    return minioOf(this.#endpoint(index));
  }

  #endpoint(index: number): S3Endpoint {
    const endpoint = this.rgw.endpoints[index];
    if (endpoint === undefined) throw new Error(`no region ${index}`);
    return endpoint;
  }
}

/** A host with its configuration, and the kit kept apart from it. */
export class Host {
  readonly folder: string;
  readonly #env: Record<string, string>;

  private constructor(folder: string, env: Record<string, string>) {
    this.folder = folder;
    this.#env = env;
  }

  /** `init` with a kit that lies where no backup looks. Throws when it does not exit 0. */
  static async create(folder: string, env: Record<string, string>, args: readonly string[]): Promise<Host> {
    const host = new Host(folder, env);
    for (const path of [join(folder, "etc"), join(folder, "safe")]) mkdirSync(path, { mode: 0o700 });
    await host.run(["init", "--config", host.config, "--kit", host.kit, ...args], 0);
    return host;
  }

  get config(): string {
    return join(this.folder, "etc/coldkeep.yaml");
  }

  get kit(): string {
    return join(this.folder, "safe/kit.txt");
  }

  /** Changes the configuration's text. Throws when nothing was found to change. */
  configure(pattern: RegExp, replacement: string): void {
    const text = readFileSync(this.config, "utf8");
    const changed = text.replace(pattern, replacement);
    if (changed === text) throw new Error(`${pattern} is not in the configuration`);
    writeFileSync(this.config, changed);
    chmodSync(this.config, 0o600);
  }

  /** Runs a verb with `--json`. Throws, showing what it said, for another exit status than expected. */
  async run(args: readonly string[], status: number, options: ProgramOptions = {}): Promise<ProgramResult> {
    const result = await runColdkeep([...args, "--json"], { timeoutMs: 300_000, ...options, env: { ...this.#env, ...options.env } });
    if (result.status === status) return result;
    throw new Error(`coldkeep ${args.join(" ")} ended with ${result.status} ${result.signal ?? ""}, not ${status}:\n${result.stdout.slice(0, 4000)}\n${result.stderr.slice(0, 4000)}`);
  }

  async backup<T = Record<string, unknown>>(status = 0, options: ProgramOptions = {}): Promise<T> {
    return (await this.run(["backup", "--config", this.config], status, options)).json<T>();
  }
}
