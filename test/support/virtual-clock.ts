/** Another time for the program under test, by Debian's libfaketime: nights can follow each other within seconds. */
import { globSync } from "node:fs";

const [library] = globSync("/usr/lib/*/faketime/libfaketime.so.1");

/** Whether programs can be given another time here. */
export const hasVirtualClock = library !== undefined;

/** What in the environment makes a program begin at `timeMs` (ms since 1970). Its timers go on as ever. */
export function clockAt(timeMs: number): Record<string, string> {
  const text = new Date(timeMs).toISOString().slice(0, 19).replace("T", " ");
  return { LD_PRELOAD: library ?? "", FAKETIME: `@${text}`, FAKETIME_DONT_FAKE_MONOTONIC: "1", TZ: "UTC" };
}
