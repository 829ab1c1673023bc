import { afterEach, expect, test, vi } from "vitest";
import { runProgram } from "../../src/cli/run.ts";

afterEach(() => void vi.restoreAllMocks());

test("what fails outside of every verb is said, and is no success", async () => {
  const said: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
  vi.spyOn(process, "umask").mockImplementation(() => {
    throw new Error("no such call\x1b[2J");
  });
  expect(await runProgram(["list"], "1.2.3")).toBe(1);
  expect(said).toEqual(["coldkeep: error: no such call\\u001b[2J\n"]);
});
