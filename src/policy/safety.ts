/**
 * Whether an archive looks like those before it. One that does not is flagged, and never counts as usual by itself: the next
 * one is compared with what was usual before, until a person says that the new size is right.
 */
import type { SourceEntries, Usual } from "../format/usual.ts";
import { formatSize, MIB } from "../units.ts";

export type SafetyRules = {
  /** Bytes of the sources; less is flagged. Null: no limit. */
  minSizeBytes: number | null;
  /** The most that may change from one archive to the next, as a share from 0 to 1. Null: no limit. */
  maxChange: number | null;
  /** Absolute paths without which the archive is partial. */
  mustExist: string[];
};

export type FlagKind = "small" | "shrunk" | "grown" | "changed";

/** What is unusual about an archive, and a sentence about it. */
export type Flag = { kind: FlagKind; message: string };

/** What a run found: all entries, and how many of their files are new, changed (of these with other content), or as they were. */
export type Measured = { entries: number; sourceBytes: number; filesNew: number; filesChanged: number; filesRewritten: number; filesUnchanged: number };

/** Archives that `usual` looks back on. */
const SIZES_KEPT = 7;
const SIZES_FOR_GROWTH = 3;
/** Differences below both say nothing: a small tree doubles easily. */
const ENTRIES_MIN = 200;
const BYTES_MIN = 64 * MIB;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** How far a number lies from what is usual, as a share of that; 0 while the difference is small in itself. */
function deviation(now: number, usual: number, least: number): number {
  return Math.abs(now - usual) < least ? 0 : (now - usual) / Math.max(usual, 1);
}

function sizeFlag(measured: Measured, { sizes }: Usual, maxChange: number): Flag | undefined {
  if (sizes.length === 0) return undefined;
  const entries = median(sizes.map((size) => size.entries));
  const bytes = median(sizes.map((size) => size.sourceBytes));
  const shares = [deviation(measured.entries, entries, ENTRIES_MIN), deviation(measured.sourceBytes, bytes, BYTES_MIN)];
  const text = `holds ${measured.entries} entries and ${formatSize(measured.sourceBytes)} where ${entries} and ${formatSize(bytes)} are usual`;
  if (Math.min(...shares) < -maxChange) return { kind: "shrunk", message: text };
  // Twice as much is as unusual as half: growth is measured from the larger side. New hosts grow.
  if (sizes.length >= SIZES_FOR_GROWTH && shares.some((share) => share / (1 + share) > maxChange)) return { kind: "grown", message: text };
  return undefined;
}

function changeFlag(measured: Measured, entriesBefore: number, maxChange: number): Flag | undefined {
  const { entries, filesNew, filesChanged, filesRewritten, filesUnchanged } = measured;
  const gone = Math.max(0, entriesBefore - (entries - filesNew));
  const touched = filesRewritten + gone;
  const share = touched / Math.max(1, filesChanged + filesUnchanged + gone);
  if (touched < ENTRIES_MIN || share <= maxChange) return undefined;
  return { kind: "changed", message: `has other content in ${filesRewritten} files, and ${gone} are gone, since the archive before, ${percent(share)} of what it held` };
}

/** The flags of an archive. `before` is the one it follows, null for a first archive. */
export function judge(measured: Measured, rules: SafetyRules, before: { entries: number; usual: Usual | null } | null): Flag[] {
  const flags: (Flag | undefined)[] = [];
  if (rules.minSizeBytes !== null && measured.sourceBytes < rules.minSizeBytes) {
    flags.push({ kind: "small", message: `holds ${formatSize(measured.sourceBytes)}, less than the ${formatSize(rules.minSizeBytes)} of safety.minSize` });
  }
  if (rules.maxChange !== null && before !== null) {
    if (before.usual !== null) flags.push(sizeFlag(measured, before.usual, rules.maxChange));
    flags.push(changeFlag(measured, before.entries, rules.maxChange));
  }
  return flags.filter((flag) => flag !== undefined);
}

/** What is usual from this archive on. `accepted`: a person says that this one is as it should be. */
export function nextUsual(before: Usual | null, measured: Measured, sources: readonly SourceEntries[], flags: readonly Flag[], accepted: boolean): Usual {
  const { entries, sourceBytes } = measured;
  if (accepted) return { sizes: [{ entries, sourceBytes }], sources: [...sources] };
  const sizes = before?.sizes ?? [];
  const known = new Map((before?.sources ?? []).map((source) => [source.path, source]));
  return {
    sizes: flags.length > 0 ? sizes : [...sizes, { entries, sourceBytes }].slice(-SIZES_KEPT),
    sources: sources.map((source) => (source.entries > 0 ? source : (known.get(source.path) ?? source))),
  };
}
