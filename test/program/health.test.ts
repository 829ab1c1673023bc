/** `coldkeep health` from outside. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { setUpHost, type TestHost } from "../support/host.ts";
import { afterUse } from "../support/temp-dir.ts";

type Document = { counts: { ok: number; failed: number }; checks: { name: string; kind: string; ok: boolean; why: string | null; ms: number; measured: Record<string, unknown> }[]; error?: { code: string } };

async function hostWithChecks(): Promise<{ host: TestHost; flag: string }> {
  const server = createServer((_, response) => void response.end("hello"));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  afterUse(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const host = await setUpHost();
  const flag = join(host.dir, "flag");
  host.editConfig((text) => `${text}
health:
  - {name: site, http: {url: "http://127.0.0.1:${port}/", text: hello}}
  - {name: flag, command: {run: [/usr/bin/test, -e, ${flag}]}, within: 20s}
  - {name: load, load: {url: "http://127.0.0.1:${port}/", rate: 40, duration: 1s, p95: 2s, errors: 0%}}
`);
  return { host, flag };
}

test("says of each check what was found; only all well is exit 0", async () => {
  const { host, flag } = await hostWithChecks();
  const health = ["health", "--config", host.config];
  const failed = await host.run(health);
  expect(failed.status).toBe(1);
  expect(failed.stdout).toMatch(/^OK {4}site: http, status 200, bytes 5 \(.*\)\nFAIL {2}flag: \/usr\/bin\/test ended with 1, status 1 \(.*\)\nOK {4}load: .*requests 40, failed 0.*\n2 well, 1 failed\n$/);
  writeFileSync(flag, "");
  const well = await host.run([...health, "--json"]);
  expect(well.status).toBe(0);
  const document = well.json<Document>();
  expect(document.counts).toEqual({ ok: 3, failed: 0 });
  expect(document.checks.map(({ name, kind, ok, why }) => [name, kind, ok, why])).toEqual([["site", "http", true, null], ["flag", "command", true, null], ["load", "load", true, null]]);
});

test("one alone, waited for; a name that no check has; no check at all", async () => {
  const { host, flag } = await hostWithChecks();
  const health = ["health", "--json", "--config", host.config];
  setTimeout(() => writeFileSync(flag, ""), 2500);
  const waited = await host.run([...health, "--only", "flag", "--wait"]);
  expect(waited.status).toBe(0);
  expect(waited.json<Document>().checks.map(({ name }) => name)).toEqual(["flag"]);
  expect(await host.run([...health, "--only", "flags"])).toMatchObject({ status: 2, stderr: expect.stringContaining('Did you mean "flag"?') });
  host.editConfig((text) => text.slice(0, text.indexOf("health:")));
  const none = await host.run(health);
  expect(none.status).toBe(1);
  expect(none.json<Document>().error?.code).toBe("E_NOT_FOUND");
});
