/** The rows of the table: samples by row and program, their medians (of the peaks the largest), and what they are held against. */
import { type ContestantName, CONTESTANTS } from "./contestants/contestant.ts";
import { type Cost, median } from "./measure.ts";

export type Sample = Cost & {
  /** Time of the stores' own processes meanwhile; undefined where the stores are directories. */
  storeCpuMs?: number | undefined;
  /** Bytes that came into the one region, or the first of two. */
  storedBytes?: number | undefined;
};

/** The least that issue 3 asks for; where there is nothing, a row is for information. */
export type Budget = {
  /** restic's time by ours, at least. */
  speed?: number;
  /** Our stored bytes by restic's, at most. */
  stored?: number;
  /** Our time by that of `node -e 0`, at most. */
  start?: number;
};

export const PEAK_BYTES_MAX = 400e6;

export const BUDGETS = {
  "first archive": { speed: 3, stored: 0.85 },
  "unchanged night": { speed: 4 },
  "full restore": { speed: 4 },
  "verify: presence": {},
  "verify: checksum": {},
  "verify: content": {},
  "1 % of files changed": { speed: 3.5 },
  "second restore, merged": {},
  "one file, nothing cached": { speed: 3 },
  list: {},
  "large file, first": { speed: 1.5 },
  "large file, 1 % of pages": { speed: 5, stored: 0.2 },
  "media, first": {},
  "media, restore": {},
  "start-up": { start: 3 },
} as const satisfies Record<string, Budget>;

export type RowName = keyof typeof BUDGETS;

export type Ratio = { kind: keyof Budget; value: number; budget?: number; met?: boolean };

export type Row = {
  row: RowName;
  medians: Partial<Record<ContestantName, Sample>>;
  samples: Partial<Record<ContestantName, Sample[]>>;
  ratios: Ratio[];
  /** Whether our largest process stayed within the budget. */
  peakMet?: boolean;
};

export class Rows {
  readonly #samples = new Map<RowName, Map<ContestantName, Sample[]>>();

  add(row: RowName, program: ContestantName, sample: Sample): void {
    const programs = this.#samples.get(row) ?? new Map<ContestantName, Sample[]>();
    this.#samples.set(row, programs);
    programs.set(program, [...(programs.get(program) ?? []), sample]);
  }

  /** In the order in which they were first measured. */
  finished(): Row[] {
    return [...this.#samples].map(([row, programs]) => {
      const known = CONTESTANTS.filter((name) => programs.has(name));
      const samples = Object.fromEntries(known.map((name) => [name, programs.get(name) ?? []])) as Row["samples"];
      const medians = Object.fromEntries(known.map((name) => [name, medianOf(programs.get(name) ?? [])])) as Row["medians"];
      const ours = medians.coldkeep;
      return { row, medians, samples, ratios: ratiosOf(medians, BUDGETS[row]), ...(ours && { peakMet: ours.peakBytes <= PEAK_BYTES_MAX }) };
    });
  }
}

function medianOf(samples: readonly Sample[]): Sample {
  const of = (pick: (sample: Sample) => number | undefined): number | undefined => {
    const values = samples.map(pick).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : median(values);
  };
  const [storeCpuMs, storedBytes] = [of((s) => s.storeCpuMs), of((s) => s.storedBytes)];
  return {
    wallMs: of((s) => s.wallMs) ?? Number.NaN,
    cpuMs: of((s) => s.cpuMs) ?? Number.NaN,
    // A memory that is passed once is passed.
    peakBytes: Math.max(...samples.map((s) => s.peakBytes)),
    ...(storeCpuMs !== undefined && { storeCpuMs }),
    ...(storedBytes !== undefined && { storedBytes }),
  };
}

export function ratiosOf(medians: Row["medians"], budget: Budget): Ratio[] {
  const { coldkeep, restic, "node -e 0": node } = medians;
  if (coldkeep === undefined) return [];
  const atLeast = (kind: keyof Budget, value: number): Ratio => ({ kind, value, ...(budget[kind] !== undefined && { budget: budget[kind], met: value >= budget[kind] }) });
  const atMost = (kind: keyof Budget, value: number): Ratio => ({ kind, value, ...(budget[kind] !== undefined && { budget: budget[kind], met: value <= budget[kind] }) });
  return [
    ...(restic === undefined ? [] : [atLeast("speed", restic.wallMs / coldkeep.wallMs)]),
    ...(coldkeep.storedBytes !== undefined && restic?.storedBytes ? [atMost("stored", coldkeep.storedBytes / restic.storedBytes)] : []),
    ...(node === undefined ? [] : [atMost("start", coldkeep.wallMs / node.wallMs)]),
  ];
}
