/** Work that nobody waits for steps aside for what a server is there for. */
import { getPriority, setPriority } from "node:os";
import { libc } from "./libc.ts";

/** Half way down: behind every service, and not so far that a busy server would never let a backup end. */
const NICE = 10;

/**
 * Lowers the priority of this process for processors and disks; threads started later inherit both. A lower one, set by
 * whoever started it, stays. Does nothing where the system does not allow it.
 */
export function stepAside(): void {
  try {
    if (getPriority() < NICE) setPriority(NICE);
  } catch {
    // Only a courtesy: the work is the same without it.
  }
  libc?.lowerIoPriority();
}
