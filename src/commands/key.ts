/** `coldkeep key …`: identities and recipients. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { configPath, loadConfig, type LoadedConfig } from "../config/load.ts";
import { readHostSetup } from "../engine/host-setup.ts";
import { checkKeys, type KeyCheck } from "../engine/key-check.ts";
import { makeKey } from "../engine/key-new.ts";
import { replaceInConfig, rotateKey, type Rotation } from "../engine/key-rotate.ts";
import { showKeys, type ShownRecipient } from "../engine/key-show.ts";
import { kitRecipients } from "../engine/kit-open.ts";
import { OpenVault } from "../engine/open-vault.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import type { Kit } from "../format/kit.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { ownConfig } from "./own-config.ts";
import { newPassphrase, openKitAt, requireKitAt, unsealedWith } from "./passphrase.ts";
import { printable } from "./printable.ts";
import { signerText } from "./signer-text.ts";
import type { KeyCheckOptions, KeyNewOptions, KeyRotateOptions, KeyShowOptions } from "./verb-options.ts";

export async function runNew(context: CommandContext, _args: readonly string[], options: KeyNewOptions): Promise<ExitStatus> {
  const { terminal, cwd } = context;
  const model = options.kit === undefined ? null : requireKitAt(context, options.kit);
  const loaded = options.config === undefined ? null : loadConfig(resolve(cwd, options.config));
  const kit = model ?? (loaded === null ? null : kitOf(loaded));
  const beside = loaded?.config.recipients ?? (model === null ? [] : await kitRecipients(model));
  const passphrase = await newPassphrase(context, options);
  const { recipient, fingerprint } = await makeKey({ path: resolve(cwd, options.to), kit, beside, pq: options.pq, passphrase, now: new Date(context.now()) });
  if (terminal.wantsJson) terminal.json({ recipient, fingerprint, file: options.to, kit: kit !== null, protected: passphrase !== null });
  else {
    terminal.data(recipient);
    terminal.say(`${options.to} holds its identity${passphrase === null ? "" : ", under the passphrase"}: keep it off every host, in two places`);
    terminal.say("next: add the recipient to `recipients:` in the configuration of each host it is to open; archives made from then on are its too");
  }
  return EXIT.done;
}

/** What a host knows of its vault. */
function kitOf(loaded: LoadedConfig): Kit {
  const { vault, regions } = loaded.config;
  return { vault, regions: regions.map(({ name, url }) => ({ name, url })), signers: readHostSetup(loaded).trust.signers, credentials: [], identities: [] };
}

export async function runShow(context: CommandContext, _args: readonly string[], options: KeyShowOptions): Promise<ExitStatus> {
  const { terminal } = context;
  const kit = options.kit === undefined ? null : requireKitAt(context, options.kit);
  const loaded = kit !== null && options.config === undefined ? null : ownConfig(context, options.config);
  const keys = await showKeys(loaded, kit);
  if (terminal.wantsJson) terminal.json({ ...keys, sealed: kit?.sealed !== undefined });
  else {
    terminal.data(["recipients", ...keys.recipients.map(recipientText), "signers", ...keys.signers.map(signerText)].join("\n"));
    if (kit?.sealed !== undefined) terminal.say("the kit's secrets are under a passphrase");
  }
  return EXIT.done;
}

const USES: Record<ShownRecipient["use"], string> = { archives: "opens archives", catalogs: "opens this host's catalogs, not contents", earlier: "opens what was encrypted to it earlier" };

function recipientText({ recipient, fingerprint, use, heldBy }: ShownRecipient): string {
  const where = heldBy === null ? "its identity is elsewhere" : heldBy === "kit" ? "its identity is in the kit" : "its identity is on this host";
  return `  ${fingerprint}  ${recipient.length > 80 ? `${recipient.slice(0, 24)}…` : recipient}: ${USES[use]}; ${where}`;
}

export async function runCheck(context: CommandContext, _args: readonly string[], options: KeyCheckOptions): Promise<ExitStatus> {
  const { terminal, signal, cwd } = context;
  const kit = await openKitAt(context, options.kit, options);
  const held = await kitRecipients(kit);
  const configured = options.config === undefined ? null : loadConfig(resolve(cwd, options.config)).config.recipients;
  using vault = await OpenVault.open({ authority: { kind: "kit", kit }, region: options.region, emit: emitTo(terminal), signal });
  if (vault.hosts().length === 0) throw new ColdkeepError("E_KIT", "the kit trusts no host", { hint: "Add a host's signer with `coldkeep signer trust`." });
  const checks: KeyCheck[] = [];
  for (const host of vault.hosts()) {
    terminal.progress(`looking at the archives of ${host}`);
    checks.push(await checkKeys(vault, host, held, signal));
  }
  const configuration = configured?.map((recipient) => ({ recipient, held: held.includes(recipient) }));
  if (terminal.wantsJson) terminal.json({ checks, ...(configuration !== undefined && { configuration }) });
  else {
    const lines = configuration?.map(({ recipient, held: isHeld }) => `${isHeld ? "OK   " : "-    "} configuration: ${isHeld ? "the kit holds" : "somebody else holds"} the identity of ${recipient}`) ?? [];
    terminal.data([...lines, ...checks.flatMap(linesOf)].join("\n"));
  }
  if (checks.some(({ fault }) => fault !== null)) return EXIT.failed;
  return checks.every(({ archives, opened }) => opened === archives) ? EXIT.done : EXIT.partial;
}

function linesOf({ host, archive, recipients, archives, opened, fault, hint }: KeyCheck): string[] {
  if (archive === null) return [`FAIL  ${host}: has no archive`];
  const counted = `the kit opens ${opened} of ${archives} archives`;
  const names = recipients.map(({ fingerprint, held }) => `${fingerprint}${held ? " (in the kit)" : ""}`).join(", ");
  const detail = `      newest ${archive}, encrypted to ${names}`;
  if (fault === null) return [`${opened === archives ? "OK   " : "PART "} ${host}: ${counted}`, detail];
  return [`FAIL  ${host}: ${counted}; the newest: ${printable(fault)}`, detail, ...(hint === undefined ? [] : [`      hint: ${printable(hint)}`])];
}

export async function runRotate(context: CommandContext, _args: readonly string[], options: KeyRotateOptions): Promise<ExitStatus> {
  const { terminal, cwd } = context;
  const { kit, to, recipient, replaces } = options;
  if (recipient !== undefined) {
    const rotation = await replaceInConfig(ownConfig(context, options.config), recipient, replaces);
    if (terminal.wantsJson) terminal.json({ ...rotation, kit: null });
    else tellNextArchive(context, rotation);
    return EXIT.done;
  }
  const opened = await unsealedWith(context, requireKitAt(context, kit ?? ""), options);
  const passphrase = (await newPassphrase(context, options)) ?? opened.passphrase;
  const rotation = await rotateKey({ loaded: hostConfig(context, options.config), kit: opened.kit, newKitPath: resolve(cwd, to ?? ""), replaces, passphrase, now: new Date(context.now()) });
  if (terminal.wantsJson) terminal.json({ ...rotation, kit: to, protected: passphrase !== null });
  else tellRotation(context, rotation, to ?? "");
  return EXIT.done;
}

/** This host's configuration; null where none was named, and this machine has none: a kit may be kept far from any host. */
function hostConfig(context: CommandContext, explicit: string | undefined): LoadedConfig | null {
  const path = configPath(explicit, context.env, context.uid);
  return explicit === undefined && context.env["COLDKEEP_CONFIG"] === undefined && !existsSync(path) ? null : loadConfig(path);
}

function tellRotation(context: CommandContext, rotation: Rotation, kit: string): void {
  const { terminal } = context;
  terminal.say(`new kit: ${kit}; it opens what the old one opened, and the archives to come`);
  if (rotation.configured) tellNextArchive(context, rotation);
  else terminal.say("this machine has no configuration: on each host of the vault run");
  const replaces = rotation.replaced === "" ? "" : ` --replaces ${rotation.replaced}`;
  terminal.say(`${rotation.configured ? "on other hosts of the vault: " : "  "}coldkeep key rotate --recipient ${rotation.recipient}${replaces}`);
  terminal.say(`next: move ${kit} off this host, keep two copies; once a backup ran, prove it with \`coldkeep key check --kit ${kit}\`, and destroy the old kit after that`);
}

function tellNextArchive({ terminal }: CommandContext, { recipient, resumed, replaced }: Rotation): void {
  if (resumed && replaced === "") return terminal.say(`the configuration names ${recipient} already`);
  terminal.say(`the next archive is encrypted to ${recipient}${replaced === "" ? "" : `, no longer to ${replaced}`}`);
  terminal.say("volumes for the old recipients are not used again: the next backup stores everything anew");
}
