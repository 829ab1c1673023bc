/** Measurements by row and program, and the table of their medians. */
import { formatSize } from "../../src/units.ts";
import { median, type Cost } from "./measure.ts";

export type Sample = Cost & { storedBytes?: number };

export type Row = { row: string; results: Record<string, Sample>; /** restic's time by ours. */ speed?: number; /** Our stored bytes in one region by restic's. */ stored?: number };

export class Rows {
  readonly #samples = new Map<string, Map<string, Sample[]>>();

  add(row: string, program: string, sample: Sample): void {
    const programs = this.#samples.get(row) ?? new Map<string, Sample[]>();
    this.#samples.set(row, programs);
    programs.set(program, [...(programs.get(program) ?? []), sample]);
  }

  medians(): Row[] {
    return [...this.#samples].map(([row, programs]) => {
      const results = Object.fromEntries([...programs].map(([program, samples]) => [program, medianOf(samples)]));
      const { coldkeep, restic } = results;
      return {
        row,
        results,
        ...(coldkeep && restic && { speed: restic.wallMs / coldkeep.wallMs }),
        ...(coldkeep?.storedBytes && restic?.storedBytes && { stored: coldkeep.storedBytes / restic.storedBytes }),
      };
    });
  }
}

function medianOf(samples: readonly Sample[]): Sample {
  const of = (pick: (sample: Sample) => number): number => median(samples.map(pick));
  const stored = samples.flatMap(({ storedBytes }) => storedBytes ?? []);
  return { wallMs: of((s) => s.wallMs), cpuMs: of((s) => s.cpuMs), peakBytes: of((s) => s.peakBytes), ...(stored.length > 0 && { storedBytes: median(stored) }) };
}

function cells(sample: Sample | undefined): string[] {
  if (sample === undefined) return ["–", "–", "–", "–"];
  const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
  return [seconds(sample.wallMs), seconds(sample.cpuMs), formatSize(sample.peakBytes), sample.storedBytes === undefined ? "" : formatSize(sample.storedBytes)];
}

/** Time, CPU, peak memory and stored bytes of each program, and the ratios. */
export function formatTable(rows: readonly Row[], programs: readonly string[]): string {
  const head = ["", ...programs.flatMap((name) => [name, "cpu", "peak", "stored"]), ...(programs.length > 1 ? ["faster", "stored"] : [])];
  const body = rows.map(({ row, results, speed, stored }) => [
    row,
    ...programs.flatMap((name) => cells(results[name])),
    ...(programs.length > 1 ? [speed === undefined ? "" : `${speed.toFixed(2)} ×`, stored === undefined ? "" : `${stored.toFixed(2)} ×`] : []),
  ]);
  const lines = [head, ...body];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => line.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ").trimEnd()).join("\n");
}
