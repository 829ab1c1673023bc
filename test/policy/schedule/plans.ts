/** Plans for tests of what is made of them. */
import { parseCalendar } from "../../../src/policy/schedule/calendar.ts";
import type { SchedulePlan } from "../../../src/policy/schedule/plan.ts";

/** A path that means something else to whoever does not quote it. */
export const AWKWARD = "/srv/it's 100% \"$HOME\" \\ here";

export function makePlan(overrides: Partial<SchedulePlan> = {}): SchedulePlan {
  return {
    host: "web1.example",
    config: "/etc/coldkeep/coldkeep.yaml",
    choices: { user: "root" },
    jobs: [
      { kind: "backup", calendar: parseCalendar("02:30"), args: ["backup", "--config", "/etc/coldkeep/coldkeep.yaml"], timeoutMs: 86_400_000 },
      { kind: "verify", calendar: parseCalendar("Sun 05:00"), args: ["verify", "--config", "/etc/coldkeep/coldkeep.yaml", "--sample", "5%"], timeoutMs: 86_400_000 },
    ],
    randomDelayMs: 2_700_000,
    program: ["/bin/echo"],
    state: "/var/lib/coldkeep",
    writable: ["/etc/coldkeep/keys", "/mnt/usb/vault"],
    environmentFile: "/etc/coldkeep/credentials.env",
    ...overrides,
  };
}

export const awkwardPlan = makePlan({
  config: `${AWKWARD}/c.yaml`,
  program: ["/bin/echo", `${AWKWARD}/coldkeep.js`],
  state: `${AWKWARD}/state`,
  writable: [`${AWKWARD}/keys`],
  environmentFile: `${AWKWARD}/credentials.env`,
});
