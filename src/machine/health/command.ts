/** Health: a program of the host's own ends with 0. */
import type { CommandCheck } from "../../config/health-schema.ts";
import { type Finding, ill, type ProbeOrder, well } from "./probe.ts";
import { ending, runAs, said } from "./tool-line.ts";

/** Throws E_NOT_FOUND, E_REFUSED. */
export async function probeCommand({ argv, runAs: user }: CommandCheck, { timeoutMs, signal }: ProbeOrder): Promise<Finding> {
  const result = await runAs(user, { argv, timeoutMs, signal });
  const measured = result.status === null ? {} : { status: result.status };
  return result.status === 0 ? well(measured) : ill(`${argv[0]} ${ending(result)}${said(result)}`, measured);
}
