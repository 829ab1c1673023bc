/** What is said where a newer archive could not be taken. */
import type { Terminal } from "./terminal-port.ts";

export function warnOfPassedOver(terminal: Terminal, ids: readonly string[]): void {
  for (const id of ids) terminal.warn(`archive ${id} is newer, and its manifest is right in no region: this is the newest that is`, "See `coldkeep verify`, and repair.md of the guide.");
}
