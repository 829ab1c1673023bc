/** A vault in directories whose archives are small and made by hand, with a clock of its own. */
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { vi } from "vitest";
import { formatPublicKey, newSigner, type Signer, signedObject } from "../../../src/codec/signer.ts";
import { OpenVault } from "../../../src/engine/open-vault.ts";
import { pruneHosts, type HostPrune } from "../../../src/engine/prune.ts";
import { putRecord, type RecordText } from "../../../src/engine/records.ts";
import type { Region } from "../../../src/engine/region.ts";
import { idTimeMs, makeId } from "../../../src/format/id.ts";
import type { Kit } from "../../../src/format/kit.ts";
import { encodeManifestHeader, encodeObjectList, type ListedObject, type ManifestHeader } from "../../../src/format/manifest.ts";
import { keyPrefix, objectKey, parseObjectKey } from "../../../src/format/object-key.ts";
import { encodeVaultMarker } from "../../../src/format/vault-marker.ts";
import type { RetentionRule } from "../../../src/policy/retention.ts";
import { noise } from "../../support/host.ts";
import { afterUse, tempDir } from "../../support/temp-dir.ts";

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
/** Far behind the real time, so that a file nobody dated shows. */
export const START = Date.parse("2030-03-01T02:30:00Z");
export const RULE: RetentionRule = { last: 0, daily: 3, weekly: 0, monthly: 0, yearly: 0, withinMs: null, keepMin: 1, timeZone: "UTC" };
const VAULT = "00112233445566778899aabbccddeeff";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export type MadeArchive = { id: string; header: ManifestHeader; sha256: string; objects: ListedObject[] };

export class PruneVault {
  readonly dir = tempDir();
  readonly operator: Signer = newSigner();
  readonly signers = new Map<string, Signer>();
  readonly regions: string[];
  /** What stands around the store of a region in every prune. */
  wrap: (store: Region["store"], region: string) => Region["store"] = (store) => store;
  #number = 0;
  #last = new Map<string, MadeArchive>();

  constructor(hosts = ["web1"], regions = ["a", "b"]) {
    this.regions = regions;
    for (const host of hosts) this.signers.set(host, newSigner());
    vi.useFakeTimers({ toFake: ["Date"] });
    afterUse(() => vi.useRealTimers());
    this.at(START);
    for (const region of regions) this.#write(region, "coldkeep.json", encodeVaultMarker(VAULT, new Date(START).toISOString()));
  }

  /** Sets the clock of this machine and with it that of the regions; what was written before then gets its time. */
  at(timeMs: number): void {
    this.stamp();
    vi.setSystemTime(timeMs);
  }

  /** Dates what was written since the last call. */
  stamp(): void {
    for (const path of globSync(join(this.dir, "*/**/*")).filter((each) => statSync(each).isFile())) {
      if (statSync(path).mtimeMs < START - 365 * DAY) utimesSync(path, Date.now() / 1000, Date.now() / 1000);
    }
  }

  path(region: string, key: string): string {
    return join(this.dir, region, key);
  }

  /** Keys below a host's folder, without records: their ids are made anew by each call. */
  keys(region: string, host = "web1"): string[] {
    const folder = join(this.dir, region);
    return globSync(join(folder, `hosts/${host}/*/*`)).map((path) => path.slice(folder.length + 1)).filter((key) => !key.includes("/records/")).toSorted();
  }

  /** Bytes of everything below a host's folder. */
  bytes(region: string): number {
    return globSync(join(this.dir, region, "hosts/*/*/*")).reduce((sum, path) => sum + statSync(path).size, 0);
  }

  /** Stores an object in every region. */
  object(kind: "volume" | "catalog", host = "web1", size = 1000 + this.#number * 7): ListedObject {
    const bytes = noise(size, ++this.#number);
    const id = this.#id();
    for (const region of this.regions) this.#write(region, objectKey(host, kind, id), bytes);
    return { id, kind, sizeBytes: size, sha256: sha256(bytes), head: { lengthBytes: 10, sha256: sha256(bytes.subarray(0, 10)) }, set: 0 };
  }

  #id(timeMs = Date.now()): string {
    return makeId(timeMs, Buffer.alloc(10, ++this.#number));
  }

  /** An archive (or checkpoint) of some objects and one of its own. */
  archive(change: { objects?: ListedObject[]; host?: string; regions?: string[]; signer?: Signer; finishedMs?: number; status?: ManifestHeader["status"]; type?: "manifest" | "checkpoint" } = {}): MadeArchive {
    const { host = "web1", regions = this.regions, type = "manifest", finishedMs = Date.now(), status = type === "manifest" ? "complete" : "unfinished" } = change;
    const signer = change.signer ?? this.#signer(host);
    const own = this.object("catalog", host);
    const objects = [...(change.objects ?? []), own];
    const last = this.#last.get(host);
    const id = this.#id(Math.max(finishedMs, (last?.header.sequence ?? 0) + 1));
    const list = encodeObjectList(objects);
    const time = new Date(finishedMs).toISOString();
    const stored = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const header: ManifestHeader = {
      type, format: 1, vault: VAULT, host, id, writer: "0".repeat(32), signer: formatPublicKey(signer.publicKey), sequence: idTimeMs(id), previous: last === undefined ? null : { id: last.id, sha256: last.sha256 },
      startedAt: time, finishedAt: time, tool: "test", status, root: { object: own.id, offset: 0, length: 1, size: 1, sha256: own.sha256 }, totals: { entries: 1, sourceBytes: 1, storedBytes: stored, addedBytes: 1 }, recipientSets: [[]],
      objects: { count: objects.length, size: list.length, sha256: sha256(list) },
    };
    const line = encodeManifestHeader(header);
    for (const region of regions) this.#write(region, objectKey(host, type === "manifest" ? "archive" : "checkpoint", id), signedObject(signer.privateKey, type, line, list));
    const made = { id, header, sha256: sha256(line), objects };
    if (type === "manifest" && change.signer === undefined) this.#last.set(host, made);
    return made;
  }

  #signer(host: string): Signer {
    const signer = this.signers.get(host);
    if (signer === undefined) throw new Error(`no host ${host}`);
    return signer;
  }

  /** `count` nights, each with a volume of its own and one that all of them share. */
  nights(count: number, host = "web1"): MadeArchive[] {
    const shared = this.object("volume", host);
    return Array.from({ length: count }, (_, night) => {
      this.at(START + night * DAY);
      return this.archive({ host, objects: [shared, this.object("volume", host)] });
    });
  }

  #write(region: string, key: string, bytes: Uint8Array): void {
    const path = this.path(region, key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    utimesSync(path, Date.now() / 1000, Date.now() / 1000);
  }

  write(region: string, key: string, text: string): void {
    this.#write(region, key, Buffer.from(text));
  }

  remove(region: string, key: string): void {
    rmSync(this.path(region, key));
  }

  get kit(): Kit {
    const hosts = [...this.signers].map(([host, { publicKey }]) => ({ role: "host" as const, host, key: formatPublicKey(publicKey) }));
    return { vault: VAULT, regions: this.regions.map((name) => ({ name, url: `file://${this.dir}/${name}` })), signers: [...hosts, { role: "operator", key: formatPublicKey(this.operator.publicKey) }], credentials: [], identities: [] };
  }

  async open(host?: string): Promise<OpenVault> {
    const vault = await OpenVault.open({ authority: { kind: "kit", kit: this.kit }, host, waitsForAll: true, emit: () => undefined, signal: new AbortController().signal });
    for (const region of vault.regions) region.store = this.wrap(region.store, region.name);
    return vault;
  }

  /** Prunes all hosts, or some; `dryRun` makes a plan only. */
  async prune(rule: Partial<RetentionRule> = {}, { hosts, dryRun = false }: { hosts?: string[]; dryRun?: boolean } = {}): Promise<HostPrune[]> {
    const vault = await this.open();
    try {
      return await pruneHosts({ vault, hosts: hosts ?? vault.hosts(), rule: { ...RULE, ...rule }, copies: 2, signer: dryRun ? null : this.operator, emit: () => undefined, signal: new AbortController().signal });
    } finally {
      vault.close();
      this.stamp();
    }
  }

  async record(text: { kind: "hold"; archive: string; reason: string } | { kind: "release"; archive: string; hold: string; reason: string } | { kind: "retire"; reason: string } | { kind: "revoke"; revoked: string; last: { id: string; sha256: string }; reason: string }, host = "web1"): Promise<string> {
    const vault = await this.open(host);
    const id = this.#id();
    const record: RecordText = { vault: VAULT, host, id, at: new Date().toISOString(), ...text };
    await putRecord(vault.reachable, record, this.operator, new AbortController().signal);
    vault.close();
    this.stamp();
    return id;
  }

  /** Every manifest that lies among a region's archives has all it lists there (promise 1). Returns the ids. */
  wholeArchives(region: string, made: readonly MadeArchive[], host = "web1"): string[] {
    return this.keys(region, host).filter((key) => key.startsWith(keyPrefix(host, "archive"))).map((key) => {
      const id = parseObjectKey(key)?.id ?? "";
      for (const object of made.find((each) => each.id === id)?.objects ?? []) {
        const path = this.path(region, objectKey(host, object.kind, object.id));
        if (!existsSync(path) || sha256(readFileSync(path)) !== object.sha256) throw new Error(`region ${region} holds archive ${id} without ${object.kind} ${object.id}`);
      }
      return id;
    });
  }
}

/** The store with some of its calls replaced. */
export function over(store: Region["store"], calls: Partial<Region["store"]>): Region["store"] {
  return new Proxy(store, {
    get: (target, name) => {
      const own: unknown = Reflect.get(calls, name) ?? Reflect.get(target, name);
      return typeof own === "function" ? own.bind(name in calls ? calls : target) : own;
    },
  });
}
