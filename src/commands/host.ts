/** `coldkeep host …`: what an operator says of a host. */
import { resolve } from "node:path";
import { readKitFile } from "../config/kit-file.ts";
import { type Authority, OpenVault } from "../engine/open-vault.ts";
import { recordSigner } from "../engine/record-signer.ts";
import { retireHost } from "../engine/retire.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import type { HostRetireOptions } from "./verb-options.ts";

export async function runRetire({ terminal, cwd, signal }: CommandContext, [host = ""]: readonly string[], options: HostRetireOptions): Promise<ExitStatus> {
  const kit = readKitFile(resolve(cwd, options.kit));
  if (kit === null) throw new ColdkeepError("E_KIT", `there is no kit ${options.kit}`, { hint: "Give the file that `coldkeep init` wrote with --kit." });
  const emit = emitTo(terminal);
  const authority: Authority = { kind: "kit", kit };
  const signer = recordSigner(authority);
  using vault = await OpenVault.open({ authority, emit, signal });
  const done = await retireHost(vault, host, signer, options.reason ?? "", emit, signal);
  if (terminal.wantsJson) terminal.json(done);
  else terminal.say(done.record === null ? `${host} is retired already` : `${host} is retired: its silence is no alarm any more, its archives stay`);
  return Object.values(done.regions).every((state) => state === "recorded") ? EXIT.done : EXIT.partial;
}
