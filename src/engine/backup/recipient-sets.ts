/** The recipient sets a manifest names; object lists refer to them by index (format §5.1). */
import { recipientFingerprint } from "../../codec/age-keys.ts";

/** A set as stored: sorted fingerprints. */
export function fingerprintSet(recipients: readonly string[]): string[] {
  return recipients.map(recipientFingerprint).toSorted();
}

export class RecipientSets {
  readonly sets: string[][] = [];
  readonly #index = new Map<string, number>();

  /** Index of a set of fingerprints, added when it is new. */
  indexOf(fingerprints: readonly string[]): number {
    const key = fingerprints.join(" ");
    const known = this.#index.get(key);
    if (known !== undefined) return known;
    this.sets.push([...fingerprints]);
    this.#index.set(key, this.sets.length - 1);
    return this.sets.length - 1;
  }
}
