import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { surveyMachine, usualSources } from "../../src/engine/machine-survey.ts";
import { tempDir } from "../support/temp-dir.ts";

test("a user's home is measured; when the time is up, it is at least so much", async () => {
  const home = tempDir();
  for (let i = 0; i < 30; i++) {
    mkdirSync(join(home, `d${i}`));
    for (let j = 0; j < 50; j++) writeFileSync(join(home, `d${i}/f${j}`), "12345");
  }
  const { signal } = new AbortController();
  const whole = await surveyMachine({ uid: 1000, home, limitMs: 10_000, signal });
  expect(whole).toEqual({ sources: [{ path: home, sizeBytes: 7500, isWhole: true }], services: [], databases: [] });
  const [hurried] = (await surveyMachine({ uid: 1000, home, limitMs: 0, signal })).sources;
  expect(hurried).toMatchObject({ path: home, isWhole: false });
  expect(hurried?.sizeBytes).toBeLessThan(7500);
});

test("a person who leaves is not kept waiting", async () => {
  const home = tempDir();
  for (let i = 0; i < 600; i++) writeFileSync(join(home, `f${i}`), "");
  await expect(surveyMachine({ uid: 1000, home, limitMs: 10_000, signal: AbortSignal.abort(new Error("left")) })).rejects.toThrow("left");
});

test("without a home a user has no usual sources", () => {
  expect(usualSources(1000, undefined)).toEqual([]);
  expect(usualSources(1000, "relative")).toEqual([]);
});
