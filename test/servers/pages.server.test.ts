/** The pages people look at, in a real browser: the report and the kit. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Browser } from "../support/browser.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import { clockAt } from "../support/virtual-clock.ts";

const DAY = 86_400_000;
const START = Date.parse("2027-03-01T02:30:00Z");
/** WCAG 2.2, level AA, for text of ordinary size. */
const CONTRAST = 4.5;

let host: TestHost;
const pages: Record<"report" | "kit", string> = { report: "", kit: "" };

beforeAll(async () => {
  host = await setUpHost({ tree: { "a.txt": "a" }, config: "objectives: {rto: 2h}" });
  for (const night of [0, 1, 2, 5]) {
    writeFileSync(join(host.source, "a.txt"), `night ${night}`);
    await host.backup([], { env: clockAt(START + night * DAY) });
  }
  pages.report = join(host.dir, "report.html");
  pages.kit = join(host.dir, "kit.html");
  const now = { env: clockAt(START + 5 * DAY + DAY / 8) };
  expect(await host.run(["report", "--period", "20d", "--to", pages.report, "--config", host.config], now)).toMatchObject({ status: 0 });
  expect(await host.run(["kit", "print", "--html", "--to", pages.kit, "--kit", host.movedKit], now)).toMatchObject({ status: 0 });
}, 120_000);

describe.each(["report", "kit"] as const)("the page of a %s", (name) => {
  test("asks for nothing but itself, and the console stays empty", async () => {
    await using browser = await Browser.open(pages[name]);
    expect(browser.requested).toEqual([`file://${pages[name]}`]);
    expect(browser.complaints).toEqual([]);
    expect(await browser.evaluate("document.querySelectorAll('h1').length")).toBe(1);
  });

  test("can be read in light and dark, on a telephone, a screen and on paper", async () => {
    await using browser = await Browser.open(pages[name]);
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [360, 1280]) {
        await browser.look(width, scheme);
        const lowest = await browser.lowestContrast();
        expect(lowest.ratio, `${scheme}, ${width} pixels: "${lowest.text}"`).toBeGreaterThanOrEqual(CONTRAST);
        expect(await browser.evaluate("document.documentElement.scrollWidth"), `${scheme}: the page moves sideways`).toBeLessThanOrEqual(width);
        const picture = await browser.screenshot();
        if (process.env["COLDKEEP_PICTURES"]) writeFileSync(join(process.env["COLDKEEP_PICTURES"], `${name}-${scheme}-${width}.png`), picture);
        expect(picture.length).toBeGreaterThan(10_000);
      }
    }
    expect((await browser.print()).subarray(0, 5).toString()).toBe("%PDF-");
  });

  test("is gone through with the keyboard, and what has the focus shows it", async () => {
    await using browser = await Browser.open(pages[name]);
    const stops = Number(await browser.evaluate("document.querySelectorAll('[tabindex=\"0\"], summary, a[href], button').length"));
    for (let i = 0; i < stops; i++) {
      const focused = await browser.tab();
      expect(focused.name, `stop ${i + 1}`).toBeTruthy();
      expect(focused.outline, `"${focused.name}" does not show that it has the focus`).toBeGreaterThanOrEqual(2);
    }
    if (name === "report") expect(stops).toBeGreaterThan(0);
  });
});
