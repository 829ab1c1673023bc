/** Tools that leave something running behind them. */
import { expect, test } from "vitest";
import { runTool } from "../../src/machine/run-tool.ts";

test("a service that a tool starts, and that keeps its output open, holds nobody up", async () => {
  const result = await runTool({ argv: ["/bin/sh", "-c", "setsid sleep 30 & echo started; echo careful >&2; exit 3"], timeoutMs: 60_000 });
  expect(result).toMatchObject({ status: 3, stdout: "started\n", stderr: "careful\n", timedOut: false });
  expect(result.durationMs).toBeLessThan(10_000);
});

test("what is printed at the very end, and much of it, is read whole", async () => {
  const { stdout, status } = await runTool({ argv: ["/bin/sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' x; printf end"], timeoutMs: 60_000 });
  expect(status).toBe(0);
  expect(stdout.length).toBe(30_000_003);
  expect(stdout.endsWith("xend")).toBe(true);
});

test("one that cannot be started is named", async () => {
  await expect(runTool({ argv: ["/no/such/tool"], timeoutMs: 1000 })).rejects.toThrow('there is no program "/no/such/tool"');
});
