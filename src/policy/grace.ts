/** How long what an archive leaves behind is kept, so that a run which still relies on it comes to its end. */

/** From the removal of an archive's manifests to that of its objects, ms, by the clock of each store. */
export const GRACE_MS = 72 * 3_600_000;

/** How long a run may rely on having seen an object that no archive it follows lists, ms. */
export const SEEN_VALID_MS = GRACE_MS / 4;

/** How long an object stays that no manifest ever listed, ms: a run without end may still be about to. */
export const UNLISTED_MS = 30 * 86_400_000;
