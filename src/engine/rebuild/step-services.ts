/** Services: what started with the machine does again, and what ran then is started, in an order in which each finds what it needs. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { releaseServices } from "../../machine/apt.ts";
import { reloadUnits, restartService, type ServiceOutcome, setEnabled, starterOf, systemdRuns, unitStates } from "../../machine/rebuild/init-system.ts";
import { applySysctl } from "../../machine/rebuild/sysctl.ts";
import { ColdkeepError } from "../../errors.ts";
import { scriptStartsAfter, startOrder, startsAfter } from "../../policy/start-order.ts";
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

const UNIT_FOLDERS = ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

function unitText(unit: string): string | undefined {
  const path = UNIT_FOLDERS.map((folder) => join(folder, unit)).find((each) => existsSync(each));
  try {
    return path === undefined ? undefined : readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function scriptText(unit: string): string | undefined {
  const path = join("/etc/init.d", unit.replace(/\.service$/, ""));
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function afterOf(unit: string): string[] {
  return [...startsAfter(unitText(unit) ?? ""), ...scriptStartsAfter(scriptText(unit) ?? "")];
}

function told({ unit, how, said }: ServiceOutcome): string {
  return `${unit}: ${how} failed: ${said.join(" | ")}`;
}

async function enableAll({ plan: { services, takeOver }, signal }: StepContext, states: ReadonlyMap<string, string>): Promise<string[]> {
  const notes: string[] = [];
  // Without systemd what starts with the machine are links in /etc/rc?.d, which came with the files.
  if (states.size === 0) return notes;
  for (const [state, units] of [["enabled", services.enable], ["disabled", services.disable], ["masked", services.mask]] as const) {
    for (const unit of units) {
      const here = states.get(unit);
      if (here === state || (!takeOver && unit.startsWith("coldkeep-"))) continue;
      if (here === undefined && state !== "masked") {
        if (state === "enabled") notes.push(`${unit} was enabled, and there is no such unit here`);
        continue;
      }
      const done = await setEnabled(unit, state, signal);
      if (!done.ok) notes.push(told(done));
    }
  }
  return notes;
}

/** A service that cannot be started here at all is told of; one that fails to start fails the step, once all others were tried. */
export async function makeServices(context: StepContext): Promise<StepNotes> {
  const { plan, emit, signal } = context;
  releaseServices();
  const notes = await applySysctl(signal);
  await reloadUnits(signal);
  const states = await unitStates(signal);
  const lacks = await enableAll(context, states);
  const started = new Set<string>();
  const units = plan.services.start;
  const failed: ServiceOutcome[] = [];
  for (const unit of startOrder(units, new Map(units.map((each) => [each, afterOf(each)])))) {
    const starter = starterOf(unit, states);
    if (starter === undefined) {
      lacks.push(`${unit} is not started: ${systemdRuns() ? "there is no such unit" : "systemd does not run here, and it has no script in /etc/init.d"}`);
      continue;
    }
    if (started.has(starter)) continue;
    started.add(starter);
    emit({ kind: "progress", text: `starting ${unit}` });
    const outcome = await restartService(unit, signal);
    if (!outcome.ok) failed.push(outcome);
  }
  if (failed.length > 0) throw new ColdkeepError("E_DISK", `${failed.length} of ${units.length} services did not start:\n${failed.map(told).join("\n")}`, { hint: "Look at the service's own log, put right what it complains of," });
  return { notes, lacks };
}
