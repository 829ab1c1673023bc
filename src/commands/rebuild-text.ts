/** A rebuild for people: its plan before, its report after. */
import type { RebuildPlan } from "../engine/rebuild/plan-types.ts";
import type { RebuildReport } from "../engine/rebuild/run.ts";
import { formatDuration, formatLocalTime, formatSize } from "../units.ts";
import { printable } from "./printable.ts";

const NAMED_MAX = 8;
const LABEL_WIDTH = 15;
const WIDTH = 80;

/** `what` of some, and how many more there are. */
export function named(names: readonly string[], max = NAMED_MAX): string {
  const shown = names.slice(0, max).map(printable).join(", ");
  return names.length > max ? `${shown} and ${names.length - max} more` : shown;
}

/** A labelled text, in lines of 80 where its words allow. */
function line(label: string, text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > WIDTH - LABEL_WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map((each, index) => `${(index === 0 ? label : "").padEnd(LABEL_WIDTH)}${each}`);
}

function packageLines({ packages, sourceFaults, packagesFrom }: RebuildPlan): string[] {
  if (packages === null) return sourceFaults.flatMap((fault) => line("packages", fault));
  const { install, present, differing, unavailable, leftOut } = packages;
  const lines = [...line("packages", `${install.length} to install${packagesFrom === null ? "" : ` from ${packagesFrom}`}, ${present} here already`)];
  if (differing.length > 0) lines.push(...line("", `in another version: ${named(differing.map(({ name, was, is }) => `${name} ${is} (was ${was})`), 4)}`));
  if (unavailable.length > 0) lines.push(...line("", `not to be had: ${named(unavailable.map(({ name, version }) => `${name} ${version}`.trim()))}`));
  if (leftOut.length > 0) lines.push(...line("", `left out, as kernel and boot are this machine's own: ${named(leftOut, 3)}`));
  return [...lines, ...sourceFaults.slice(0, NAMED_MAX).flatMap((fault) => line("", printable(fault)))];
}

function dataLines({ databases }: RebuildPlan): string[] {
  return databases.flatMap(({ engine, name, version, dumps }) => {
    const bytes = dumps.reduce((sum, dump) => sum + dump.bytes, 0);
    const what = dumps.filter((dump) => dump.what !== "globals").map((dump) => dump.name);
    return line("data", `${engine} ${printable(name)}${version === "" ? "" : ` ${version}`}: ${named(what)} (${formatSize(bytes)})`);
  });
}

function adequacyLines({ adequacy: { verdict, findings } }: RebuildPlan): string[] {
  const lacking = findings.filter((finding) => finding.verdict === "fatal" || finding.verdict === "waivable");
  return [...line("machine", verdict), ...lacking.flatMap(({ id, need, have, isWaived }) => line("", printable(`${id}: needs ${need}, has ${have}${isWaived ? ", accepted" : ""}`)))];
}

/** The plan, at 80 columns where names allow. `now` in ms. */
export function planLines(plan: RebuildPlan, now: number): string[] {
  const { files, users, services } = plan;
  const age = formatDuration(Math.max(0, now - Date.parse(plan.archiveStartedAt)));
  const drill = plan.lastDrill === null ? "never with services: this has not been tried" : `${formatLocalTime(Date.parse(plan.lastDrill.at))}${plan.lastDrill.rtoMs === null ? "" : `, took ${formatDuration(plan.lastDrill.rtoMs)}`}`;
  return [
    `This machine, ${printable(plan.machine)}, becomes ${plan.host}:`,
    ...line("archive", `${plan.archive}, ${age} old`),
    ...plan.passedOver.flatMap((id) => line("", `${id} is newer, and right in no region`)),
    ...adequacyLines(plan),
    ...line("steps", plan.steps.join(", ")),
    ...line("users", `${users.add.length} to add${users.add.length === 0 ? "" : `: ${named(users.add)}`}`),
    ...users.renumbered.slice(0, NAMED_MAX).flatMap(({ kind, name, was, is }) => line("", `${kind} ${printable(name)} was ${was} and is ${is} here`)),
    ...packageLines(plan),
    ...line("files", `${files.files}, ${formatSize(files.bytes)}, out of ${files.volumes} volumes; what they replace is moved aside`),
    ...dataLines(plan),
    ...line("services", `${services.enable.length} to enable, ${services.start.length} to start${services.start.length === 0 ? "" : `: ${named(services.start)}`}`),
    ...line("checks", plan.checks.length === 0 ? "none: nothing will say whether it works (`health` in the configuration)" : named(plan.checks)),
    ...line("not touched", plan.untouched.map(({ what, review, paths }) => (review ? `${what} (${named(paths, 4)})` : what)).join("; ")),
    ...plan.reenter.flatMap(({ path, why }) => line("enter again", `${printable(path)}: ${printable(why)}`)),
    ...line("schedule", plan.takeOver ? "coldkeep's own goes on here" : "coldkeep's own stays held until --take-over"),
    ...line("last drill", drill),
  ];
}

/** The report, with the time of each step. */
export function reportLines(report: RebuildReport): string[] {
  const { host, machine, archive, steps, rtoMs, rtoObjectiveMs } = report;
  const objective = rtoObjectiveMs === null ? "" : `, the objective is ${formatDuration(rtoObjectiveMs)}`;
  return [
    `${printable(machine)} is rebuilt as ${host} from archive ${archive}`,
    ...steps.flatMap(({ step, ms, lacks }) => line(step, `${formatDuration(ms)}${lacks.length === 0 ? "" : `, ${lacks.length} things lacking`}`)),
    ...(rtoMs === null ? line("RTO", "not measured: no health check says when it was up") : line("RTO", `${formatDuration(rtoMs)} from the start of the command to the last health check${objective}`)),
  ];
}
