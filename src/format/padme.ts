/**
 * Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PETS 2019):
 * lengths are rounded up so that a length of n bits tells only O(log n) of them, at 12 % more bytes at the most.
 */

/** A zstd skippable frame is a magic number and a length, four bytes each, before any content. */
const MIN_PADDING_FRAME_BYTES = 8;

/** The smallest Padmé length that is at least `length` (bytes, up to 2^52). Throws RangeError for anything else. */
export function padmeLength(length: number): number {
  if (!Number.isInteger(length) || length < 0 || length > 2 ** 52) throw new RangeError(`${length} is not a length`);
  if (length < 2) return length;
  // No bit operators on the length, which would cut it to 32 bits; no logarithm, which rounds 2^52 - 1 up.
  const exponent = length.toString(2).length - 1;
  const kept = 32 - Math.clz32(exponent);
  const step = 2 ** (exponent - kept);
  return step <= 1 ? length : Math.ceil(length / step) * step;
}

/**
 * Total bytes of the skippable frame that brings `contentLength` bytes to a Padmé length: 0 when already there, and
 * never 1 to 7, for which no frame exists; the next Padmé length is taken then.
 */
export function paddingFor(contentLength: number): number {
  let target = padmeLength(contentLength);
  while (target !== contentLength && target - contentLength < MIN_PADDING_FRAME_BYTES) target = padmeLength(target + 1);
  return target - contentLength;
}
