/** What recipient sets of a manifest say about who can open an archive. */

/** Whether someone with the identities of `held` (fingerprints) opens every object: at least one of each set. */
export function objectsOpened(sets: readonly (readonly string[])[], held: ReadonlySet<string>): boolean {
  return sets.every((set) => set.some((fingerprint) => held.has(fingerprint)));
}
