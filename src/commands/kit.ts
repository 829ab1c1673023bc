/** `coldkeep kit …`: printing the kit, adding to it, and proving that it opens the archives. */
import { resolve } from "node:path";
import { checkKitFor, type KitCheck, recordKitCheck } from "../engine/kit-check.ts";
import { addSigner, findCredentials, protectKit } from "../engine/kit-edit.ts";
import { writePage } from "../engine/new-page.ts";
import { OpenVault } from "../engine/open-vault.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import { formatKit, parseSignerLine, signerLine } from "../format/kit.ts";
import { formatLocalTime } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { newPassphrase, openKitAt, requireKitAt, unsealed } from "./passphrase.ts";
import { printable } from "./printable.ts";
import type { KitAddSignerOptions, KitCheckOptions, KitPrintOptions, KitProtectOptions } from "./verb-options.ts";

export async function runPrint(context: CommandContext, _args: readonly string[], options: KitPrintOptions): Promise<ExitStatus> {
  const { terminal, cwd } = context;
  const { kitHtml, kitText } = await import("../engine/kit-page.ts");
  const kit = requireKitAt(context, options.kit);
  const full = options.withReadCredentials ? { ...kit, credentials: await findCredentials(kit) } : kit;
  const createdAt = new Date(context.now()).toISOString();
  const text = formatKit(full, { createdAt });
  const page = options.html ? kitHtml(full, text, createdAt) : kitText(full, text);
  if (options.to === undefined) terminal.secretData(page.trimEnd());
  else {
    writePage(resolve(cwd, options.to), page);
    terminal.say(`${options.to} holds the kit, for you alone: print it, and remove it`);
  }
  return EXIT.done;
}

export async function runAddSigner(context: CommandContext, args: readonly string[], options: KitAddSignerOptions): Promise<ExitStatus> {
  const { terminal, cwd } = context;
  const signer = parseSignerLine(args.join(" ").replace(/^# signer: /, ""));
  const added = addSigner(resolve(cwd, options.kit), signer, new Date(context.now()));
  if (terminal.wantsJson) terminal.json({ signer: signerLine(signer), added });
  else terminal.say(added ? `${options.kit} trusts ${signerLine(signer)} now; print it again` : "the kit trusts that signer already");
  return EXIT.done;
}

export async function runProtect(context: CommandContext, _args: readonly string[], options: KitProtectOptions): Promise<ExitStatus> {
  const { terminal, cwd } = context;
  const before = requireKitAt(context, options.kit);
  const kit = await unsealed(context, before, options);
  const passphrase = await newPassphrase(context, { protect: true, newPassphraseFile: options.newPassphraseFile });
  await protectKit(resolve(cwd, options.kit), kit, passphrase ?? "", new Date(context.now()));
  const changed = before.sealed !== undefined;
  if (terminal.wantsJson) terminal.json({ kit: options.kit, changed });
  else terminal.say(`${options.kit} is protected by ${changed ? "the new" : "a"} passphrase now; copies made before are as they were: print it again, and destroy them`);
  return EXIT.done;
}

export async function runCheck(context: CommandContext, _args: readonly string[], options: KitCheckOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const kit = await openKitAt(context, options.kit, options);
  const emit = emitTo(terminal);
  using vault = await OpenVault.open({ authority: { kind: "kit", kit }, region: options.region, emit, signal });
  const hosts = vault.hosts();
  if (hosts.length === 0) throw new ColdkeepError("E_KIT", "the kit trusts no host", { hint: "Add a host's signer line with `coldkeep kit add-signer`." });
  const checks: KitCheck[] = [];
  for (const host of hosts) {
    terminal.progress(`opening the newest archive of ${host}`);
    const check = await checkKitFor(vault, host, signal);
    checks.push(check);
    if (!options.unrecorded) await recordKitCheck(vault, check, kit, emit, signal);
  }
  if (terminal.wantsJson) terminal.json({ checks });
  else terminal.data(checks.flatMap(linesOf).join("\n"));
  return checks.every(({ fault }) => fault === null) ? EXIT.done : EXIT.failed;
}

function linesOf({ host, archive, startedAt, fault, hint }: KitCheck): string[] {
  const what = archive === null ? "" : ` ${archive} of ${formatLocalTime(Date.parse(startedAt ?? ""))}`;
  if (fault === null) return [`OK    ${host}: the kit opens${what}`];
  const line = `FAIL  ${host}:${what}${archive === null ? "" : ":"} ${printable(fault)}`;
  return hint === undefined ? [line] : [line, `      hint: ${printable(hint)}`];
}
