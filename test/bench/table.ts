/** Tables for people: one line a program, because rows of four programs fit no terminal. */
import { formatSize } from "../../src/units.ts";
import { CONTESTANTS } from "./contestants/contestant.ts";
import { PEAK_BYTES_MAX, type Ratio, type Row } from "./rows.ts";

/** Lines of cells below a head, in columns: the first `names` and the last to the left, numbers to the right. */
export function formatColumns(lines: readonly (readonly string[])[], names: number): string {
  const columns = Math.max(...lines.map((line) => line.length));
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const isText = (column: number): boolean => column < names || column === columns - 1;
  return lines.map((line) => line.map((cell, column) => (isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ").trimEnd()).join("\n");
}

export function formatSeconds(ms: number | undefined): string {
  if (ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export function formatPeak(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** Medians of each program (of the peaks the largest), and on our line how it stands to restic and to the budgets. */
export function formatRows(rows: readonly Row[]): string {
  const head = ["", "program", "time", "CPU", "stores' CPU", "peak", "stored", "  against restic (budget)"];
  const body = rows.flatMap(({ row, medians, ratios, peakMet }) =>
    CONTESTANTS.flatMap((name) => {
      const sample = medians[name];
      if (sample === undefined) return [];
      const isOurs = name === "coldkeep";
      const peak = formatPeak(sample.peakBytes) + (isOurs && peakMet !== undefined ? ` (≤ ${PEAK_BYTES_MAX / 1e6}${peakMet ? "" : ", missed"})` : "");
      const stored = sample.storedBytes === undefined ? "" : formatSize(sample.storedBytes);
      const isFirst = name === CONTESTANTS.find((each) => medians[each] !== undefined);
      return [[isFirst ? row : "", name, formatSeconds(sample.wallMs), formatSeconds(sample.cpuMs), formatSeconds(sample.storeCpuMs), peak, stored, isOurs ? `  ${ratios.map(formatRatio).join("; ")}` : ""]];
    }),
  );
  return formatColumns([head, ...body], 2);
}

const RATIO_WORDS: Record<Ratio["kind"], { unit: string; sign: string }> = {
  speed: { unit: "× as fast", sign: "≥" },
  stored: { unit: "× the bytes", sign: "≤" },
  start: { unit: "× node's own start", sign: "≤" },
};

export function formatRatio({ kind, value, budget, met }: Ratio): string {
  const { unit, sign } = RATIO_WORDS[kind];
  const asked = budget === undefined ? "" : ` (${sign} ${budget}${met === false ? ", missed" : ""})`;
  return `${value.toFixed(2)} ${unit}${asked}`;
}
