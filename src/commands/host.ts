/** `coldkeep host …`: what an operator says of a host. */
import { type Authority, OpenVault } from "../engine/open-vault.ts";
import { recordSigner } from "../engine/record-signer.ts";
import { retireHost } from "../engine/retire.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { openKitAt } from "./passphrase.ts";
import type { HostRetireOptions } from "./verb-options.ts";

export async function runRetire(context: CommandContext, [host = ""]: readonly string[], options: HostRetireOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const kit = await openKitAt(context, options.kit, options);
  const emit = emitTo(terminal);
  const authority: Authority = { kind: "kit", kit };
  const signer = recordSigner(authority);
  using vault = await OpenVault.open({ authority, emit, signal });
  const done = await retireHost(vault, host, signer, options.reason ?? "", emit, signal);
  if (terminal.wantsJson) terminal.json(done);
  else terminal.say(done.record === null ? `${host} is retired already` : `${host} is retired: its silence is no alarm any more, its archives stay`);
  return Object.values(done.regions).every((state) => state === "recorded") ? EXIT.done : EXIT.partial;
}
