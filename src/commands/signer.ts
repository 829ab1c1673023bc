/** `coldkeep signer …`: whose signatures count. */
import { resolve } from "node:path";
import { pinInConfig } from "../engine/config-edit.ts";
import { shownSigners } from "../engine/key-show.ts";
import { addSigner } from "../engine/kit-edit.ts";
import { type Authority, OpenVault } from "../engine/open-vault.ts";
import { recordSigner } from "../engine/record-signer.ts";
import { revokeSigner } from "../engine/revoke.ts";
import { fingerprintOf } from "../engine/trust.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import { parseSignerLine, type PinnedSigner, signerLine } from "../format/kit.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { ownConfig } from "./own-config.ts";
import { openKitAt, requireKitAt } from "./passphrase.ts";
import { signerText } from "./signer-text.ts";
import type { SignerListOptions, SignerRevokeOptions, SignerTrustOptions } from "./verb-options.ts";

export async function runList(context: CommandContext, _args: readonly string[], options: SignerListOptions): Promise<ExitStatus> {
  const { terminal } = context;
  const kit = options.kit === undefined ? null : requireKitAt(context, options.kit);
  const loaded = kit !== null && options.config === undefined ? null : ownConfig(context, options.config);
  const signers = shownSigners(loaded, kit);
  if (terminal.wantsJson) terminal.json({ signers });
  else terminal.data(signers.map((signer) => signerText(signer).trimStart()).join("\n") || "no signer is pinned");
  return EXIT.done;
}

export async function runTrust(context: CommandContext, args: readonly string[], options: SignerTrustOptions): Promise<ExitStatus> {
  const { terminal, cwd } = context;
  const signer = parseSignerLine(args.join(" ").replace(/^# signer: /, ""));
  await confirm(context, signer, options.fingerprint);
  const inKit = options.kit === undefined ? null : addSigner(resolve(cwd, options.kit), signer, new Date(context.now()));
  const inConfig = options.kit !== undefined && options.config === undefined ? null : pinInConfig(ownConfig(context, options.config), signer);
  if (terminal.wantsJson) terminal.json({ signer: signerLine(signer), fingerprint: fingerprintOf(signer.key), kit: inKit, configuration: inConfig });
  else {
    if (inKit !== null) terminal.say(inKit ? `${options.kit} trusts ${signerLine(signer)} now; print it again` : "the kit trusts that signer already");
    if (inConfig !== null) terminal.say(inConfig ? `the configuration trusts ${signerLine(signer)} now` : "the configuration trusts that signer already");
  }
  return EXIT.done;
}

/** A key that came by mail or from a region is worth nothing until somebody compared it. Throws E_REFUSED, E_USAGE. */
async function confirm({ terminal, signal }: CommandContext, signer: PinnedSigner, given: string | undefined): Promise<void> {
  const fingerprint = fingerprintOf(signer.key);
  const other = (): ColdkeepError => new ColdkeepError("E_REFUSED", `the fingerprint of that key is ${fingerprint}`, { hint: "Compare it with what `coldkeep signer list` shows on the machine that has the secret half; nothing was changed." });
  if (given !== undefined) {
    if (given.toLowerCase() !== fingerprint) throw other();
    return;
  }
  if (!terminal.canAsk) throw new ColdkeepError("E_USAGE", "nobody is there to confirm the fingerprint", { hint: "Give --fingerprint HEX, as `coldkeep signer list` shows it on the machine that has the secret half." });
  terminal.say(`${signerLine(signer)} has the fingerprint ${fingerprint}`);
  const answer = await terminal.ask("Does the machine that has the secret half show the same (`coldkeep signer list`)? [no]", signal);
  if (!/^y(es)?$/i.test(answer)) throw other();
}

export async function runRevoke(context: CommandContext, [signer = ""]: readonly string[], options: SignerRevokeOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const kit = await openKitAt(context, options.kit, options);
  const emit = emitTo(terminal);
  const authority: Authority = { kind: "kit", kit };
  const operator = recordSigner(authority);
  using vault = await OpenVault.open({ authority, waitsForAll: true, emit, signal });
  const done = await revokeSigner({ vault, operator, signer, host: options.host, last: options.last, reason: options.reason ?? "", emit, signal });
  if (terminal.wantsJson) terminal.json(done);
  else {
    terminal.say(`signer ${done.fingerprint} of ${done.host} is revoked: what it signed counts up to archive ${done.last}, and no further`);
    terminal.say(done.voided.length === 0 ? "no archive is void by that" : `void: ${done.voided.join(", ")}`);
    terminal.say(`next: on ${done.host}, or on what replaces it, make a new signer; docs/guide/keys.md has every step`);
  }
  const behind = Object.entries(done.regions).filter(([, state]) => state === "behind");
  for (const [region] of behind) terminal.warn(`region "${region}" does not hold the record: who reads that region alone does not know`, "Run the same again when it answers.");
  return behind.length === 0 ? EXIT.done : EXIT.partial;
}
