/**
 * Node's own builds for Linux need libatomic.so.1 for a single function of it, which a Debian without extras does not have
 * installed. V8 asks it only to compare and swap eight bytes, so that the few instructions are put into the executable, and
 * the dynamic linker is told of no other library. Whatever looks different from what was checked is an error of the build.
 */

const LIBRARY = "libatomic.so.1";
const FUNCTION = "__atomic_compare_exchange";

/** `bool (size, pointer, expected, desired)` by the System V ABI, for a size of 8; traps for any other. */
const COMPARE_EXCHANGE = Buffer.from(
  [
    "4883ff08", // cmp rdi, 8
    "7514", // jne trap
    "488b02", // mov rax, [rdx]
    "488b09", // mov rcx, [rcx]
    "f0480fb10e", // lock cmpxchg [rsi], rcx
    "7403", // je done
    "488902", // mov [rdx], rax
    "0f94c0", // done: sete al
    "c3", // ret
    "0f0b", // trap: ud2
  ].join(""),
  "hex",
);

const X86_64 = 0x3e;
const [PT_LOAD, PT_DYNAMIC, EXECUTABLE] = [1, 2, 1];
const DT = { needed: 1, stringTable: 5, symbolTable: 6, relocationBytes: 2, relocations: 23, flags: 30, versions: 0x6ffffffe, versionCount: 0x6fffffff };
const BIND_NOW = 8;
const [R_JUMP_SLOT, R_RELATIVE] = [7, 8];

type Segment = { kind: number; flags: number; offset: number; address: number; fileBytes: number };

class Elf {
  readonly #bytes: Buffer;
  readonly segments: Segment[];
  /** Tag, value and file offset of each dynamic entry. */
  readonly dynamic: { tag: number; value: number; at: number }[] = [];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const first = this.u64(32);
    this.segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
      const at = first + index * bytes.readUInt16LE(54);
      return { kind: this.u32(at), flags: this.u32(at + 4), offset: this.u64(at + 8), address: this.u64(at + 16), fileBytes: this.u64(at + 32) };
    });
    const start = this.segments.find(({ kind }) => kind === PT_DYNAMIC)?.offset ?? fail("it has no dynamic segment");
    for (let at = start; this.u64(at) !== 0; at += 16) this.dynamic.push({ tag: this.u64(at), value: this.u64(at + 8), at });
  }

  u32(at: number): number {
    return this.#bytes.readUInt32LE(at);
  }

  u64(at: number): number {
    return Number(this.#bytes.readBigUInt64LE(at));
  }

  value(tag: number): number {
    return this.dynamic.find((entry) => entry.tag === tag)?.value ?? fail(`it has no dynamic entry ${tag}`);
  }

  /** Where in the file lies what is loaded at an address. */
  offsetOf(address: number): number {
    const segment = this.segments.find((each) => each.kind === PT_LOAD && address >= each.address && address < each.address + each.fileBytes);
    return segment === undefined ? fail(`nothing is loaded at ${address}`) : segment.offset + address - segment.address;
  }

  /** The text at an index of the string table. */
  string(index: number): string {
    const at = this.offsetOf(this.value(DT.stringTable)) + index;
    return this.#bytes.toString("latin1", at, this.#bytes.indexOf(0, at));
  }

  /** File offsets of the records that name the versions asked of each library. */
  *versionRecords(): Generator<number> {
    let at = this.offsetOf(this.value(DT.versions));
    for (let left = this.value(DT.versionCount); left > 0; left--) {
      yield at;
      at += this.u32(at + 12);
    }
  }
}

function fail(what: string): never {
  throw new Error(`cannot make the executable independent of ${LIBRARY}: ${what}`);
}

/** Changes the bytes of an executable in place; does nothing where it does not need the library. Throws when it looks unfamiliar. */
export function dropLibatomic(bytes: Buffer): void {
  if (bytes.readUInt16LE(18) !== X86_64) return;
  const elf = new Elf(bytes);
  const libraries = elf.dynamic.filter(({ tag }) => tag === DT.needed);
  const library = libraries.find(({ value }) => elf.string(value) === LIBRARY);
  if (library === undefined) return;
  const libc = libraries.find(({ value }) => elf.string(value) === "libc.so.6") ?? fail("it does not need libc.so.6");
  if ((elf.value(DT.flags) & BIND_NOW) === 0) fail("its functions are bound late");
  const stub = placeStub(bytes, elf);
  bindTo(stub, bytes, elf);
  bytes.writeBigUInt64LE(BigInt(libc.value), library.at + 8);
  askOnlyLibc(bytes, elf, libc.value);
}

/** Puts the function into the padding behind the code; returns its address. */
function placeStub(bytes: Buffer, elf: Elf): number {
  const code = elf.segments.find(({ kind, flags }) => kind === PT_LOAD && (flags & EXECUTABLE) !== 0) ?? fail("it has no code");
  const end = code.offset + code.fileBytes;
  const at = Math.ceil(end / 16) * 16;
  // The page is mapped whole, so what stands behind the end of the segment is loaded too.
  if (Math.floor((end - 1) / 4096) !== Math.floor((at + COMPARE_EXCHANGE.length) / 4096)) fail("there is no room behind its code");
  if (bytes.subarray(end, at + COMPARE_EXCHANGE.length).some((byte) => byte !== 0)) fail("something stands behind its code");
  COMPARE_EXCHANGE.copy(bytes, at);
  return code.address + at - code.offset;
}

/** Binds the one function asked of the library to an address of our own. */
function bindTo(address: number, bytes: Buffer, elf: Elf): void {
  const first = elf.offsetOf(elf.value(DT.relocations));
  const symbols = elf.offsetOf(elf.value(DT.symbolTable));
  let isBound = false;
  for (let at = first; at < first + elf.value(DT.relocationBytes); at += 24) {
    const name = elf.string(elf.u32(symbols + elf.u32(at + 12) * 24));
    if (!name.startsWith("__atomic_")) continue;
    if (name !== FUNCTION || elf.u32(at + 8) !== R_JUMP_SLOT) fail(`it uses ${name}`);
    bytes.writeBigUInt64LE(BigInt(R_RELATIVE), at + 8);
    bytes.writeBigInt64LE(BigInt(address), at + 16);
    isBound = true;
  }
  if (!isBound) fail(`it does not call ${FUNCTION}`);
}

/** Turns the version asked of the library into one more that is asked of libc. */
function askOnlyLibc(bytes: Buffer, elf: Elf, libc: number): void {
  const records = [...elf.versionRecords()];
  const recordOf = (name: string): number => records.find((at) => elf.string(elf.u32(at + 4)) === name) ?? fail(`it asks no version of ${name}`);
  const [ours, model] = [recordOf(LIBRARY), recordOf("libc.so.6")];
  if (bytes.readUInt16LE(ours + 2) !== 1) fail("it asks several versions of the library");
  const [version, modelVersion] = [ours + elf.u32(ours + 8), model + elf.u32(model + 8)];
  bytes.writeUInt32LE(libc, ours + 4);
  bytes.copy(bytes, version, modelVersion, modelVersion + 4);
  bytes.copy(bytes, version + 8, modelVersion + 8, modelVersion + 12);
}
