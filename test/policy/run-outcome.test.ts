import { expect, test } from "vitest";
import { EXIT } from "../../src/errors.ts";
import { alarmEventOf } from "../../src/policy/run-outcome.ts";

test("partial is neither success nor failure, and whoever found the host held has nothing to tell", () => {
  expect(alarmEventOf(EXIT.done)).toBe("success");
  expect(alarmEventOf(EXIT.partial)).toBe("partial");
  expect(alarmEventOf(EXIT.locked)).toBeNull();
  for (const status of [EXIT.failed, EXIT.usage, EXIT.threshold, EXIT.refused, EXIT.interrupted]) expect(alarmEventOf(status)).toBe("fail");
});
