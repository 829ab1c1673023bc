/** Takes the dumps of a run, one after another, while the walk goes on: from a tool's output into spans for the packers. */
import { ColdkeepError, messageOf, systemCode } from "../../errors.ts";
import type { DataFact, Dump } from "../../format/data-facts.ts";
import { comparePaths } from "../../format/path-order.ts";
import type { DataPlan } from "../../machine/databases/plan.ts";
import type { DataSource, PlannedDump } from "../../machine/databases/source.ts";
import { formatSize } from "../../units.ts";
import type { Emit } from "../events.ts";
import { DUMP_SPAN_BYTES } from "./dumps-under-way.ts";
import type { DumpToScan } from "./messages.ts";

/** The way of spans to the packers. */
export type DumpPort = {
  send(message: DumpToScan): void;
  /** A buffer for one span, once one is free. Throws the signal's reason, and what ended the run. */
  buffer(signal: AbortSignal): Promise<SharedArrayBuffer>;
  /** Gives a buffer back that was not sent. */
  giveBack(buffer: SharedArrayBuffer): void;
};

type Order = { plan: DataPlan; port: DumpPort; emit: Emit; signal: AbortSignal };

function mtimeOf(ms: number): string {
  return `${Math.floor(ms / 1000)}.${String((ms % 1000) * 1_000_000).padStart(9, "0")}`;
}

/** Fills spans with what a dump writes. */
class SpanFiller {
  readonly #port: DumpPort;
  readonly #number: number;
  readonly #signal: AbortSignal;
  #buffer: SharedArrayBuffer | null = null;
  #used = 0;
  /** Bytes sent. */
  #at = 0;

  constructor(port: DumpPort, number: number, signal: AbortSignal) {
    this.#signal = signal;
    this.#port = port;
    this.#number = number;
  }

  async add(bytes: Buffer): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      this.#buffer ??= await this.#port.buffer(this.#signal);
      const piece = bytes.subarray(from, from + DUMP_SPAN_BYTES - this.#used);
      new Uint8Array(this.#buffer).set(piece, this.#used);
      this.#used += piece.length;
      from += piece.length;
      if (this.#used === DUMP_SPAN_BYTES) this.#send();
    }
  }

  /** Sends off what is left; all bytes of the dump. */
  finish(): number {
    this.#send();
    return this.#at;
  }

  drop(): void {
    if (this.#buffer !== null) this.#port.giveBack(this.#buffer);
    this.#buffer = null;
  }

  #send(): void {
    if (this.#buffer === null) return;
    this.#port.send({ kind: "span", number: this.#number, at: this.#at, length: this.#used, buffer: this.#buffer });
    this.#at += this.#used;
    this.#used = 0;
    this.#buffer = null;
  }
}

function faultOf(error: unknown): { code: string; message: string } {
  return { code: error instanceof ColdkeepError ? error.code : (systemCode(error) ?? "E_INTERNAL"), message: messageOf(error) };
}

/** Throws where a person wants the run to end for it; else it is a problem of the archive. */
function settleFault(what: { label: string; path: string; onError: "fail" | "partial" }, error: unknown, port: DumpPort): void {
  const { code, message } = faultOf(error);
  const hint = error instanceof ColdkeepError ? error.hint : undefined;
  if (what.onError === "fail") throw new ColdkeepError("E_DISK", `${what.label} could not be dumped: ${message}`, { hint: hint ?? "Run `coldkeep doctor`; with `onError: partial` the rest is archived all the same.", cause: error });
  port.send({ kind: "problem", path: what.path, code, message: `${what.label}: ${message}` });
}

async function takeOne(number: number, source: DataSource, dump: PlannedDump, { port, emit, signal }: Order): Promise<Dump | null> {
  const startedAtMs = Date.now();
  const filler = new SpanFiller(port, number, signal);
  port.send({ kind: "begin", number, path: dump.path });
  try {
    const facts = await dump.write((bytes) => filler.add(bytes), signal);
    const bytes = filler.finish();
    port.send({ kind: "end", number, size: bytes, mtime: mtimeOf(startedAtMs) });
    emit({ kind: "detail", message: `${source.label}: ${dump.name} dumped, ${formatSize(bytes)} in ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s` });
    return { rows: {}, owner: "", mode: "", encoding: "", locale: "", extensions: [], ...facts, path: dump.path, what: dump.what, name: dump.name, bytes };
  } catch (error) {
    filler.drop();
    port.send({ kind: "drop", number });
    if (signal.aborted) return null;
    settleFault({ label: `${source.label}: ${dump.name}`, path: dump.path, onError: source.onError }, error, port);
    return null;
  }
}

/**
 * What could be dumped, for the catalog's root; a stop by the signal leaves out what was not whole by then. Throws E_DISK for what
 * failed and must not.
 */
export async function takeDumps(order: Order): Promise<DataFact[]> {
  const { plan, port, signal } = order;
  const taken = new Map<DataSource, Dump[]>(plan.sources.map((source) => [source, []]));
  for (const { error, ...what } of plan.faults) settleFault(what, error, port);
  for (const { fact, leftOut, notes } of plan.sources) {
    const path = fact.dataDirectory === "" ? `${fact.engine} ${fact.name}` : fact.dataDirectory;
    for (const message of notes) port.send({ kind: "note", path, message });
    for (const file of leftOut) port.send({ kind: "note", path: file, message: `is left out: ${fact.engine} ${fact.name} is dumped instead` });
  }
  const all = plan.sources.flatMap((source) => source.dumps.map((dump) => ({ source, dump })));
  let number = 0;
  for (const { source, dump } of all.toSorted((a, b) => comparePaths(a.dump.path, b.dump.path))) {
    if (signal.aborted) break;
    const facts = await takeOne(number++, source, dump, order);
    if (facts !== null) taken.get(source)?.push(facts);
  }
  port.send({ kind: "done" });
  return [...taken].flatMap(([{ fact }, dumps]) => (dumps.length === 0 ? [] : [{ ...fact, dumps }]));
}
