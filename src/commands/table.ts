/** Aligned columns for people. */
import { printable } from "./printable.ts";

export type Column<Row> = { title: string; of: (row: Row) => string; /** Numbers stand to the right. */ right?: boolean; /** Where lines would be too long for the terminal. */ narrow?: "leave out" | ((row: Row) => string) };

/** Title line and one line a row, cells safe to print; with `width`, in their narrow form where that is needed. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width?: number): string[] {
  const lines = aligned(rows, columns);
  if (width === undefined || lines.every((line) => line.length <= width)) return lines;
  return aligned(
    rows,
    columns.flatMap((column) => (column.narrow === "leave out" ? [] : [{ ...column, of: column.narrow ?? column.of }])),
  );
}

function aligned<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ of }) => printable(of(row))))];
  const widths = columns.map((_, i) => Math.max(...lines.map((cells) => cells[i]?.length ?? 0)));
  const pad = (cell: string, i: number): string => (columns[i]?.right === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0));
  return lines.map((cells) => cells.map(pad).join("  ").trimEnd());
}
