/** `coldkeep report`: one page, whole in itself, and the same facts for a program. */
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { setUpHost, type TestHost } from "../support/host.ts";
import { clockAt } from "../support/virtual-clock.ts";

const DAY = 86_400_000;
const START = Date.parse("2027-03-01T02:30:00Z");

describe("a report", () => {
  let host: TestHost;
  const args = ["report", "--period", "20d"];
  const now = { env: clockAt(START + 9 * DAY + DAY / 8) };

  beforeAll(async () => {
    // A name of a host that would be markup, were it not written as text, cannot be; that of a file in an error can.
    host = await setUpHost({ tree: { "a.txt": "a" }, config: "objectives: {rto: 2h}" });
    for (const night of [0, 1, 2, 5, 9]) {
      writeFileSync(join(host.source, "a.txt"), `night ${night}`);
      await host.backup([], { env: clockAt(START + night * DAY) });
    }
    await host.run(["verify", "--config", host.config], { env: clockAt(START + 9 * DAY + 3_600_000) });
    // As a machine that only drills does: it leaves a record, and nothing in the history here.
    expect(await host.run(["drill", "--kit", host.movedKit], { env: clockAt(START + 9 * DAY + 3_700_000) })).toMatchObject({ status: 0 });
    const other = `${host.config}.good`;
    renameSync(host.config, other);
    writeFileSync(host.config, `${readFileSync(other, "utf8")}\nsafety: {mustExist: ["/<script>alert(1)</script>"]}\n`);
    await host.backup([], { env: clockAt(START + 9 * DAY + 7_200_000) });
  }, 180_000);

  test("as a document: gaps, the worst of them, proofs and incidents", async () => {
    const { status, ...run } = await host.run([...args, "--json", "--config", host.config], now);
    expect(status).toBe(0);
    const report = run.json<{ archives: unknown[]; worstGapMs: number; proofs: unknown[]; drills: unknown[]; incidents: { what: string }[]; hasHistory: boolean }>();
    expect(report.archives).toHaveLength(6);
    expect(Math.round(report.worstGapMs / DAY)).toBe(4);
    expect(report.proofs).toMatchObject([{ verb: "verify", level: "checksum", exitStatus: 0 }]);
    expect(report.drills).toMatchObject([{ depth: "files", result: "passed", rtoMs: null }]);
    expect(report.incidents.map(({ what }) => what)).toEqual(["no good archive for 72 h, more than the objective", "no good archive for 96 h, more than the objective", "archive is partial"]);
  });

  test("as a page: nothing from outside, no script, everything written as text, and never over another file", async () => {
    const page = join(host.dir, "report.html");
    expect(await host.run([...args, "--html", "--to", page, "--config", host.config], now)).toMatchObject({ status: 0, stdout: "" });
    expect(statSync(page).mode & 0o777).toBe(0o600);
    const html = readFileSync(page, "utf8");
    expect(html).not.toMatch(/<script|(?:src|href|action)=|url\(|@import|https?:/);
    expect(html).toContain('<html lang="en">');
    for (const heading of ["What could have been lost (RPO)", "Sizes and growth", "Archives and regions", "Drills", "Proofs on this machine", "Incidents"]) expect(html).toContain(`<h2>${heading}</h2>`);
    expect(html.match(/<svg [^>]*role="img" aria-label="/g)).toHaveLength(2);
    expect(await host.run([...args, "--to", page, "--config", host.config], now)).toMatchObject({ status: 5 });
  });

  test("with a kit, elsewhere: the archives, and that the history is not at hand", async () => {
    const run = await host.run([...args, "--json", "--kit", host.movedKit], now);
    expect(run.json()).toMatchObject({ hasHistory: false, proofs: [], drills: [{ depth: "files", result: "passed" }] });
    expect((await host.run([...args, "--kit", host.movedKit], now)).stdout).toContain("this report was made elsewhere");
  });
});
