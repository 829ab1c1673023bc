/** The output of a program as an entry. */
import type { CommandConfig } from "../../config/data-schema.ts";
import { asUser, withUser } from "../as-user.ts";
import { requireWell, streamTool } from "../run-tool.ts";
import { type DataSource, dumpFolder } from "./source.ts";

/** A command is asked nothing before its turn comes. */
export function planCommand({ name, argv, runAs, timeoutMs, onError }: CommandConfig): DataSource {
  const fact = { engine: "command" as const, name, version: "", dataDirectory: "", address: "", unit: "" };
  const write: DataSource["dumps"][number]["write"] = async (output, signal) => {
    const user = await asUser(runAs, signal);
    const order = { ...user, argv: withUser(user, argv), timeoutMs, signal };
    requireWell(order, await streamTool({ ...order, output }));
    return {};
  };
  return { label: `command ${name}`, onError, fact, dumps: [{ path: `${dumpFolder(fact)}/${name}`, what: "output", name, write }], leftOut: [], settings: [], notes: [] };
}
