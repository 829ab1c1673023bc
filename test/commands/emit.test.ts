import { expect, test } from "vitest";
import { progressLine } from "../../src/commands/emit.ts";

test("speed and end come before what may be cut off", () => {
  const event = { kind: "progress", text: "1.2 GiB of 4.0 GiB", more: "12345 files written" } as const;
  expect(progressLine(event, { bytesPerSecond: 312 * 1024 * 1024, leftMs: 8_400 })).toBe("1.2 GiB of 4.0 GiB, 312 MiB/s, 9s left; 12345 files written");
  expect(progressLine(event, { bytesPerSecond: null, leftMs: null })).toBe("1.2 GiB of 4.0 GiB; 12345 files written");
  expect(progressLine({ kind: "progress", text: "committing" }, undefined)).toBe("committing");
  const widest = progressLine({ ...event, text: "1023 GiB of about 1023 GiB" }, { bytesPerSecond: 999 * 1024 * 1024, leftMs: 71 * 3_600_000 });
  expect(widest.indexOf(";")).toBeLessThan(57);
});
