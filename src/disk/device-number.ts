/** Device numbers as the kernel's stat gives them, and as `major:minor` text (glibc's encoding, `gnu_dev_makedev`). */
import { ColdkeepError } from "../errors.ts";

const WORD_MAX = 0xffff_ffff;

/** The device number of a pair. */
export function makedev(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xffff_f000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffff_ff00n) << 12n) | (low & 0xffn);
}

export function major(dev: bigint): number {
  return Number(((dev >> 32n) & 0xffff_f000n) | ((dev >> 8n) & 0xfffn));
}

export function minor(dev: bigint): number {
  return Number(((dev >> 12n) & 0xffff_ff00n) | (dev & 0xffn));
}

/** `major:minor` */
export function deviceText(dev: bigint): string {
  return `${major(dev)}:${minor(dev)}`;
}

/** The inverse of `deviceText`. Throws E_FORMAT on any other form. */
export function parseDevice(text: string): bigint {
  const match = /^(\d{1,10}):(\d{1,10})$/.exec(text);
  const [high, low] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || high > WORD_MAX || low > WORD_MAX) throw new ColdkeepError("E_FORMAT", `"${text.slice(0, 40)}" is not a device number`);
  return makedev(high, low);
}
