/** What is known of storage classes by name: which must be thawed before reading, and which are paid for at least how long. */

/** Days that an object is paid for at least, also when it is deleted earlier. */
const MINIMUM_DAYS: ReadonlyMap<string, number> = new Map([
  ["STANDARD_IA", 30],
  ["ONEZONE_IA", 30],
  ["GLACIER_IR", 90],
  ["GLACIER", 90],
  ["DEEP_ARCHIVE", 180],
  // Google's names, in its S3-compatible interface.
  ["NEARLINE", 30],
  ["COLDLINE", 90],
  ["ARCHIVE", 365],
]);

const FROZEN: ReadonlySet<string> = new Set(["GLACIER", "DEEP_ARCHIVE"]);

const DAY_MS = 86_400_000;

/** Whether objects of the class can be read only after the store was asked for a copy of them, hours before. */
export function needsThaw(storageClass: string | undefined): boolean {
  return storageClass !== undefined && FROZEN.has(storageClass);
}

/** Until when an object is paid for at least, ms since the epoch; undefined where no minimum is known. */
export function paidUntilMs(storageClass: string | undefined, modifiedMs: number): number | undefined {
  const days = storageClass === undefined ? undefined : MINIMUM_DAYS.get(storageClass);
  return days === undefined ? undefined : modifiedMs + days * DAY_MS;
}

/** The longest that providers give for a copy of a frozen object, hours. */
export function thawHours(storageClass: string | undefined, tier: "bulk" | "standard"): number {
  if (storageClass === "GLACIER") return tier === "bulk" ? 12 : 5;
  return tier === "bulk" ? 48 : 12;
}
