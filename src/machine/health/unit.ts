/** Health: a service runs. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { UnitCheck } from "../../config/health-schema.ts";
import { runTool } from "../run-tool.ts";
import { type Finding, ill, type ProbeOrder, well } from "./probe.ts";
import { said } from "./tool-line.ts";

const SCRIPTS = "/etc/init.d";
const UNIT_FOLDERS = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/** Of a script's `status`, by the Linux Standard Base: not running. */
const NOT_RUNNING = 3;

export async function probeUnit({ unit }: UnitCheck, { timeoutMs, signal }: ProbeOrder): Promise<Finding> {
  // systemd's own test for being the running init (sd_booted(3)).
  if (existsSync("/run/systemd/system")) {
    const result = await runTool({ argv: ["systemctl", "is-active", "--", unit], timeoutMs, signal });
    const state = result.stdout.trim() || "unknown";
    return result.status === 0 ? well({ state }) : ill(`${unit} is ${state}${said({ ...result, stdout: "" })}`, { state });
  }
  const script = scriptOf(unit);
  if (script !== null) {
    const result = await runTool({ argv: [script, "status"], timeoutMs, signal });
    if (result.status === 0) return well({ by: `${script} status` });
    if (result.status === NOT_RUNNING || result.timedOut) return ill(`${script} status says that it does not run${said(result)}`);
  }
  // A script need not know `status`, and a unit need not have one.
  const program = mainProgram(unit);
  if (program === null) return ill(`systemd does not run here, and neither a script in ${SCRIPTS} nor a unit file tells of ${unit}`);
  const pid = runningPid(program);
  return pid === null ? ill(`no process runs ${program}`) : well({ by: program, pid });
}

function bareName(unit: string): string {
  return unit.replace(/\.service$/, "").replace(/@.*$/, "");
}

function scriptOf(unit: string): string | null {
  const path = join(SCRIPTS, bareName(unit));
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return null;
  }
}

/** The program that the unit's file starts. */
function mainProgram(unit: string): string | null {
  const names = [unit, unit.replace(/@.*\./, "@.")];
  for (const path of UNIT_FOLDERS.flatMap((folder) => names.map((name) => join(folder, name)))) {
    const text = readText(path);
    const program = text === null ? undefined : /^ExecStart=[-@:+!]*(\/\S+)/m.exec(text)?.[1];
    if (program !== undefined) return program;
  }
  return null;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** The first process of that program, or of a script that is it. */
function runningPid(program: string): number | null {
  let wanted = program;
  try {
    wanted = realpathSync(program);
  } catch {
    // Gone from the disk; what runs may be it all the same.
  }
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).find((pid) => programsOf(pid).some((each) => each === wanted || each === program)) ?? null;
}

/** What a process runs: its program, and where that is an interpreter its script. A zombie runs nothing. */
function programsOf(pid: number): string[] {
  try {
    const program = readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, "");
    const [, script = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return [program, script];
  } catch {
    return [];
  }
}
