/**
 * A small writer of the stored format (docs/format.md), written from that page alone, with the real `age` and `zstd`
 * programs: it shares no code with the program, so that reader and writer cannot be wrong in the same way.
 */
import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** What a tree should hold; `content` with `parts` is stored in chunks, the rest of `size` being holes. */
export type Item = {
  path: string | Buffer;
  type: "file" | "dir" | "symlink" | "fifo" | "char" | "block";
  mode?: string;
  uid?: number;
  gid?: number;
  mtime?: string;
  content?: Buffer;
  parts?: { size: number; data: { at: number; bytes: Buffer }[] };
  target?: string | Buffer;
  hardlink?: string | Buffer;
  rdev?: string;
  xattrs?: { name: string; value: string }[];
};

export type Line = Record<string, unknown>;

export type Vault = { region: string; kit: string; id: string; recipient: string; signers: Map<string, KeyObject> };

export type ArchiveOptions = {
  host?: string;
  id?: string;
  status?: "complete" | "partial";
  /** Signs with this key instead of the host's. */
  signer?: KeyObject;
  /** Changes the catalog's lines before they are written: how hostile archives are made. */
  alter?: (lines: Line[]) => Line[];
  /** Changes the segment lines of the catalog's root. */
  alterRoot?: (rows: Line[]) => Line[];
  /** Changes the manifest's header before it is signed. */
  alterHeader?: (header: Line) => Line;
  /** Changes the frames of volumes before they are encrypted. */
  alterVolume?: (plain: Buffer) => Buffer;
  /** Lists a volume that no entry needs. */
  unused?: boolean;
  linesPerSegment?: number;
  frameSize?: number;
  framesPerVolume?: number;
};

export type Archive = { id: string; host: string; volumes: string[]; catalogs: string[]; manifest: string };

const digest = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");
const roundUp = (value: number): number => Math.ceil(value / 512) * 512;

let clock = Date.UTC(2026, 10, 23, 18, 41, 12, 345);
const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** A new id, later than all before it. */
export function newId(): string {
  clock += 1000;
  const time = new Date(clock).toISOString().replace(/[-:.]/g, "").toLowerCase();
  return `${time}-${Array.from(randomBytes(16), (byte) => alphabet[byte & 31]).join("")}`;
}

function idTime(id: string): number {
  const [, y, mo, d, h, mi, s, ms] = /^(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)(\d{3})z/.exec(id) ?? [];
  return Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s), Number(ms));
}

/** Text of a public Ed25519 key as kit and manifest write it. */
export function signerText(key: KeyObject): string {
  return `ed25519:${key.export({ format: "der", type: "spki" }).subarray(-32).toString("base64")}`;
}

/** Makes an empty vault in `folder`/region and a kit beside it that pins a new signer for each host. */
export function createVault(folder: string, hosts: string[] = ["web1"]): Vault {
  const identity = execFileSync("age-keygen", { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const vault: Vault = {
    region: join(folder, "region"),
    kit: join(folder, "kit.txt"),
    id: randomBytes(16).toString("hex"),
    recipient: /age1[0-9a-z]+/.exec(identity)?.[0] ?? "",
    signers: new Map(),
  };
  const lines = ["# coldkeep kit, version 1", `# vault: ${vault.id}`];
  for (const host of hosts) {
    const pair = generateKeyPairSync("ed25519");
    vault.signers.set(host, pair.privateKey);
    lines.push(`# signer: host ${host} ${signerText(pair.publicKey)}`);
  }
  lines.push(`# signer: operator ${signerText(generateKeyPairSync("ed25519").publicKey)}`, "");
  put(vault, "coldkeep.json", `${JSON.stringify({ type: "vault", format: 1, vault: vault.id, createdAt: "2026-11-23T18:41:12.345Z" })}\n`);
  writeFileSync(vault.kit, lines.join("\n") + identity.split("\n").filter((line) => line.startsWith("AGE-")).join("\n") + "\n");
  return vault;
}

function put(vault: Vault, key: string, bytes: Buffer | string): void {
  mkdirSync(dirname(join(vault.region, key)), { recursive: true });
  writeFileSync(join(vault.region, key), bytes);
}

/** One frame that states its content size. */
export function zstd(text: Buffer): Buffer {
  return execFileSync("zstd", ["-q", "-c", `--stream-size=${text.length}`], { input: text, maxBuffer: 1 << 28 });
}

/** Padmé: the length may keep only its upper log2(log2) bits; a skippable frame fills up to it. */
function padded(plain: Buffer): Buffer {
  const length = plain.length + 8;
  const exponent = Math.floor(Math.log2(length));
  const step = 2 ** (exponent - Math.floor(Math.log2(exponent)) - 1);
  const fill = Math.ceil(length / step) * step - length;
  const frame = Buffer.alloc(8 + fill);
  frame.writeUInt32LE(0x184d2a50, 0);
  frame.writeUInt32LE(fill, 4);
  return Buffer.concat([plain, frame]);
}

/** A byte string as the pair `name` / `nameRaw` that a catalog writes. */
function bytesField(name: string, value: string | Buffer): Line {
  const bytes = Buffer.from(value);
  const text = bytes.toString("utf8");
  if (Buffer.from(text).equals(bytes)) return { [name]: text };
  return { [`${name}Raw`]: raw(bytes) };
}

/** The octal escapes of a `Raw` field. */
export function raw(bytes: Buffer): string {
  return Array.from(bytes, (byte) =>
    byte >= 32 && byte < 127 && byte !== 92 ? String.fromCharCode(byte) : `\\0${byte.toString(8).padStart(3, "0")}`,
  ).join("");
}

function tarHeader(name: Buffer, size: number, type: string): Buffer {
  const block = Buffer.alloc(512);
  name.copy(block, 0, 0, Math.min(name.length, 100));
  block.write("0000644\0" + "0000000\0" + "0000000\0", 100);
  block.write(`${size.toString(8).padStart(11, "0")}\0${"0".repeat(11)}\0        ${type}`, 124);
  block.write("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function paxHeader(records: [string, Buffer][]): Buffer {
  const body = Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
  const blocks = Buffer.alloc(roundUp(body.length));
  body.copy(blocks);
  return Buffer.concat([tarHeader(Buffer.from("pax"), body.length, "x"), blocks]);
}

type Listed = { id: string; kind: "volume" | "catalog"; bytes: Buffer };
type Place = { volume: string; frame: [number, number]; offset: number };

/** Packs members into frames and volumes; places are known once their frame is closed. */
class Packer {
  readonly volumes: { id: string; plain: Buffer }[] = [];
  private readonly frameSize: number;
  private readonly framesPerVolume: number;
  private frames: Buffer[] = [];
  private position = 0;
  private tar: Buffer[] = [];
  private length = 0;
  private waiting: Place[] = [];
  private id = newId();
  private members = 0;

  constructor(frameSize: number, framesPerVolume: number) {
    this.frameSize = frameSize;
    this.framesPerVolume = framesPerVolume;
  }

  private append(bytes: Buffer): void {
    this.tar.push(bytes);
    this.length += bytes.length;
  }

  /** Adds one member; the place returned is filled in when the frame is closed. */
  add(bytes: Buffer, name: Buffer | null, mtime: string): Place {
    const header = name ? Buffer.concat([
      paxHeader([["hdrcharset", Buffer.from("BINARY")], ["path", name], ["mtime", Buffer.from(mtime)]]),
      tarHeader(name, bytes.length, "0"),
    ]) : tarHeader(Buffer.from(`chunks/${this.members++}`), bytes.length, "0");
    if (this.length > 0 && this.length + header.length + bytes.length > this.frameSize) this.closeFrame();
    this.append(header);
    const place: Place = { volume: "", frame: [0, 0], offset: this.length };
    this.append(bytes);
    this.append(Buffer.alloc(roundUp(bytes.length) - bytes.length));
    this.waiting.push(place);
    return place;
  }

  private closeFrame(last = false): void {
    const end = last || this.frames.length + 1 >= this.framesPerVolume;
    if (end) this.append(Buffer.alloc(1024));
    const frame = zstd(Buffer.concat(this.tar));
    for (const place of this.waiting) {
      place.volume = this.id;
      place.frame = [this.position, frame.length];
    }
    this.frames.push(frame);
    this.position += frame.length;
    this.tar = [];
    this.length = 0;
    this.waiting = [];
    if (!end) return;
    this.volumes.push({ id: this.id, plain: padded(Buffer.concat(this.frames)) });
    this.id = newId();
    this.frames = [];
    this.position = 0;
  }

  finish(): void {
    if (this.length > 0 || this.frames.length > 0) this.closeFrame(true);
  }
}

const average = 1024;
const span = 256 * average;

/** Cuts a piece of a file into chunks that never cross a multiple of the span, of lengths that mean nothing. */
function cut(at: number, bytes: Buffer): { at: number; bytes: Buffer }[] {
  const chunks = [];
  for (let from = 0; from < bytes.length; ) {
    const room = span - ((at + from) % span);
    const length = Math.min(room, bytes.length - from, 700 + ((from * 7) % 1900));
    chunks.push({ at: at + from, bytes: bytes.subarray(from, from + length) });
    from += length;
  }
  return chunks;
}

type Chunk = { at: number; length: number; sha256: string; place: Place };

/** The extents of one span: runs of chunks that follow each other in one frame, and holes around them. */
function spanExtents(chunks: Chunk[], at: number, end: number): { at: number; extents: Line[] } {
  const extents: Line[] = [];
  let position = at;
  let next: { place: Place; offset: number; list: unknown[] } | undefined;
  for (const chunk of chunks) {
    if (chunk.at > position) {
      extents.push({ zero: chunk.at - position });
      next = undefined;
    }
    const same = next?.place.volume === chunk.place.volume && next.place.frame[0] === chunk.place.frame[0];
    if (next && same && next.offset === chunk.place.offset) next.list.push([chunk.length, chunk.sha256]);
    else {
      next = { place: chunk.place, offset: 0, list: [[chunk.length, chunk.sha256]] };
      extents.push({ ...chunk.place, chunks: next.list });
    }
    next.offset = roundUp(chunk.place.offset + chunk.length) + 512;
    position = chunk.at + chunk.length;
  }
  if (position < end) extents.push({ zero: end - position });
  return { at, extents };
}

/** Depth-first order of sorted directories: by bytes, the slash below every other. */
function byPath(left: Item, right: Item): number {
  const key = (item: Item): Buffer => Buffer.from(Buffer.from(item.path).map((byte) => (byte === 47 ? 0 : byte)));
  return Buffer.compare(key(left), key(right));
}

function catalogLines(items: Item[], packer: Packer): () => Line[] {
  const known = new Map<string, Place>();
  const store = (bytes: Buffer, name: Buffer | null, mtime: string): Place => {
    const key = `${name ? "file" : "chunk"} ${digest(bytes)}`;
    const place = known.get(key) ?? packer.add(bytes, name, mtime);
    known.set(key, place);
    return place;
  };
  const lines: (() => Line[])[] = [...items].sort(byPath).map((item, index) => {
    const mtime = item.mtime ?? "1700000000.123456789";
    const entry: Line = {
      ...bytesField("path", item.path), type: item.type, mode: item.mode ?? (item.type === "dir" ? "0755" : "0644"),
      uid: item.uid ?? process.getuid?.() ?? 0, gid: item.gid ?? process.getgid?.() ?? 0, mtime, ctime: mtime, ino: String(index + 2), dev: "64769",
      ...(item.rdev === undefined ? {} : { rdev: item.rdev }),
      ...(item.target === undefined ? {} : bytesField("target", item.target)),
      ...(item.xattrs === undefined ? {} : { xattrs: item.xattrs }),
    };
    if (item.hardlink !== undefined) return () => [{ ...entry, ...bytesField("hardlink", item.hardlink ?? "") }];
    if (item.type !== "file") return () => [entry];
    if (item.parts) return chunkedLines(entry, item, item.parts, (bytes) => store(bytes, null, mtime));
    const content = item.content ?? Buffer.alloc(0);
    if (content.length === 0) return () => [{ ...entry, size: 0 }];
    const place = store(content, Buffer.from(item.path).subarray(1), mtime);
    return () => [{ ...entry, size: content.length, sha256: digest(content), extents: [{ ...place, length: content.length }] }];
  });
  return () => lines.flatMap((line) => line());
}

function chunkedLines(entry: Line, item: Item, parts: NonNullable<Item["parts"]>, store: (bytes: Buffer) => Place): () => Line[] {
  const spans = new Map<number, Chunk[]>();
  for (const chunk of parts.data.flatMap((part) => cut(part.at, part.bytes))) {
    const list = spans.get(Math.floor(chunk.at / span)) ?? [];
    list.push({ at: chunk.at, length: chunk.bytes.length, sha256: digest(chunk.bytes), place: store(chunk.bytes) });
    spans.set(Math.floor(chunk.at / span), list);
  }
  return () => [
    { ...entry, size: parts.size, chunking: { average, span } },
    ...Array.from({ length: Math.ceil(parts.size / span) }, (_, i) => ({
      ...bytesField("path", item.path),
      ...spanExtents(spans.get(i) ?? [], i * span, Math.min((i + 1) * span, parts.size)),
    })),
  ];
}

function encrypt(vault: Vault, plain: Buffer): Buffer {
  return execFileSync("age", ["-e", "-r", vault.recipient], { input: plain, maxBuffer: 1 << 28 });
}

/** The catalog objects: the first third of the segments lies in an older object, the rest with the root. */
function packCatalog(vault: Vault, lines: Line[], host: string, [older, id]: [string, string], perSegment: number, alterRoot: (rows: Line[]) => Line[]): { objects: Listed[]; root: Line } {
  const objects: Listed[] = [];
  const entries = lines.filter((line) => "type" in line).length;
  const segments: { text: Buffer; first: Line; lines: number }[] = [];
  for (let from = 0; from < lines.length; from += perSegment) {
    const part = lines.slice(from, from + perSegment);
    const text = Buffer.from(part.map((line) => `${JSON.stringify(line)}\n`).join(""));
    segments.push({ text, lines: part.length, first: firstOf(part[0] ?? {}) });
  }
  const old = Math.floor(segments.length / 3);
  const rows: Line[] = [];
  let frames: Buffer[] = [];
  let object = old > 0 ? older : id;
  let offset = 0;
  segments.forEach((segment, index) => {
    if (index === old && old > 0) {
      objects.push({ id: object, kind: "catalog", bytes: encrypt(vault, padded(Buffer.concat(frames))) });
      [frames, offset, object] = [[], 0, id];
    }
    const frame = zstd(segment.text);
    const { text } = segment;
    rows.push({ object, offset, length: frame.length, size: text.length, sha256: digest(text), lines: segment.lines, ...segment.first });
    frames.push(frame);
    offset += frame.length;
  });
  const head = { type: "catalog", format: 1, vault: vault.id, host, id, entries, segments: rows.length, sources: [], run: {}, problems: { total: 0, items: [] }, databases: [], profile: {} };
  const text = Buffer.from([head, ...alterRoot(rows)].map((row) => `${JSON.stringify(row)}\n`).join(""));
  const frame = zstd(text);
  objects.push({ id, kind: "catalog", bytes: encrypt(vault, padded(Buffer.concat([...frames, frame]))) });
  return { objects, root: { object: id, offset, length: frame.length, size: text.length, sha256: digest(text) } };
}

function firstOf(line: Line): Line {
  const at = "type" in line ? {} : { at: line["at"] };
  return "pathRaw" in line ? { firstRaw: line["pathRaw"], ...at } : { first: line["path"], ...at };
}

function listLine(object: Listed): string {
  const end = object.bytes.indexOf("\n", object.bytes.indexOf("\n---")+ 1) + 1 + 16;
  const head = [end, digest(object.bytes.subarray(0, end))];
  return `${JSON.stringify({ id: object.id, kind: object.kind, size: object.bytes.length, sha256: digest(object.bytes), head, set: 0 })}\n`;
}

/** Writes one archive of `items` into the vault, manifest last. */
export function addArchive(vault: Vault, items: Item[], options: ArchiveOptions = {}): Archive {
  const host = options.host ?? "web1";
  const packer = new Packer(options.frameSize ?? 1 << 21, options.framesPerVolume ?? 16);
  const makeLines = catalogLines(items, packer);
  packer.finish();
  const older = newId();
  const id = options.id ?? newId();
  const lines = options.alter ? options.alter(makeLines()) : makeLines();
  const volumes = packer.volumes.map(({ id: volume, plain }): Listed => ({ id: volume, kind: "volume", bytes: encrypt(vault, options.alterVolume?.(plain) ?? plain) }));
  if (options.unused) volumes.push({ id: newId(), kind: "volume", bytes: encrypt(vault, zstd(Buffer.alloc(1024))) });
  const catalog = packCatalog(vault, lines, host, [older, id], options.linesPerSegment ?? 7, options.alterRoot ?? ((rows) => rows));
  const objects = [...volumes, ...catalog.objects].sort((left, right) => (left.id < right.id ? -1 : 1));
  const key = (object: Listed): string =>
    object.kind === "volume" ? `hosts/${host}/volumes/${object.id}.tar.zst.age` : `hosts/${host}/catalogs/${object.id}.ndjson.zst.age`;
  for (const object of objects) put(vault, key(object), object.bytes);
  const list = objects.map(listLine).join("");
  const stored = objects.reduce((total, object) => total + object.bytes.length, 0);
  const sourceBytes = items.reduce((total, item) => total + (item.parts?.size ?? item.content?.length ?? 0), 0);
  const signer = options.signer ?? vault.signers.get(host);
  if (!signer) throw new Error(`no signer of ${host}`);
  const time = new Date(idTime(id)).toISOString();
  const header = JSON.stringify((options.alterHeader ?? ((line: Line) => line))({
    type: "manifest", format: 1, vault: vault.id, host, id, writer: "0".repeat(32),
    signer: signerText(createPublicKey(signer)), sequence: idTime(id), previous: null, startedAt: time, finishedAt: time,
    tool: "make-region", status: options.status ?? "complete", root: catalog.root,
    totals: { entries: lines.filter((line) => "type" in line).length, sourceBytes, storedBytes: stored, addedBytes: stored },
    recipientSets: [[digest(vault.recipient).slice(0, 16)]],
    objects: { count: objects.length, size: Buffer.byteLength(list), sha256: digest(list) },
  }));
  const signature = sign(null, Buffer.from(`coldkeep/v1/manifest\n${header}`), signer).toString("base64");
  const manifest = `hosts/${host}/archives/${id}.manifest`;
  put(vault, manifest, `${header}\n${signature}\n${list}`);
  return { id, host, manifest, volumes: volumes.map(key), catalogs: catalog.objects.map(key) };
}
