/** What the real systemd tools say of our units. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { parseCalendar, systemdCalendars } from "../../../src/policy/schedule/calendar.ts";
import { systemdFiles } from "../../../src/policy/schedule/systemd-units.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { awkwardPlan, makePlan } from "./plans.ts";

test.each([
  ["root", makePlan()],
  ["another user", makePlan({ choices: { user: "daemon" } })],
  ["state in a folder of its own", makePlan({ state: "/state" })],
  ["awkward paths", awkwardPlan],
])("systemd finds nothing wrong with the units: %s", (_, plan) => {
  const dir = join(tempDir(), "units");
  mkdirSync(dir);
  const files = systemdFiles(plan).map(({ path, text }) => ({ path: join(dir, basename(path)), text }));
  for (const { path, text } of files) writeFileSync(path, text);
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...files.map(({ path }) => path)], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

test("systemd understands every calendar, as the same days", () => {
  const calendars = ["02:30", "Mon..Fri 02:30", "Sat..Mon 04:00", "Sun,Tue 23:59"].flatMap((text) => systemdCalendars(parseCalendar(text)));
  const said = spawnSync("systemd-analyze", ["calendar", ...calendars], { encoding: "utf8", env: { ...process.env, TZ: "UTC", LC_ALL: "C" } });
  expect(said.status).toBe(0);
  const normalized = ["*-*-* 02:30:00", "Mon..Fri *-*-* 02:30:00", "Mon,Sat,Sun *-*-* 04:00:00", "Tue,Sun *-*-* 23:59:00"];
  expect([...said.stdout.matchAll(/Normalized form: (.*)/g)].map((match) => match[1])).toEqual(normalized);
});
