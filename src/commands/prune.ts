/** `coldkeep prune`: which archives stay by the rule, and freeing what the others alone needed. */
import { requiredCopies } from "../policy/copies.ts";
import type { RetentionRule } from "../policy/retention.ts";
import { pruneHosts, type HostPrune } from "../engine/prune.ts";
import { OpenVault, type Authority } from "../engine/open-vault.ts";
import { recordSigner } from "../engine/record-signer.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { authorityOf } from "./open.ts";
import type { Outcome } from "./outcome.ts";
import { pruneDocument, tellPrune } from "./prune-text.ts";
import type { PruneOptions } from "./verb-options.ts";

export async function run(context: CommandContext, _args: readonly string[], options: PruneOptions): Promise<Outcome> {
  const { terminal, signal } = context;
  const { dryRun } = options;
  const authority = await authorityOf(context, options);
  const rule = ruleFor(authority, options);
  const signer = dryRun ? null : recordSigner(authority);
  const emit = emitTo(terminal);
  using vault = await OpenVault.open({ authority, host: options.host, waitsForAll: true, emit, signal });
  const copies = options.copies ?? (authority.kind === "config" ? authority.loaded.config.copies : requiredCopies(undefined, vault.regions.length));
  if (copies > vault.regions.length) throw new ColdkeepError("E_USAGE", `--copies ${copies} is more than the ${vault.regions.length} regions`, { hint: "Give --copies as the hosts' configuration has it." });
  const hosts = options.host !== undefined || authority.kind === "config" ? [vault.host()] : vault.hosts();
  const results = await pruneHosts({ vault, hosts, rule, copies, signer, emit, signal });
  if (terminal.wantsJson) terminal.json(pruneDocument(results, dryRun));
  tellPrune(terminal, results, dryRun);
  const exitStatus = worst(results);
  return { exitStatus, summary: { archive: null, regions: regionStates(vault, results), counts: { bytesFreed: freed(results), problems: results.filter(({ error }) => error !== null).length } } };
}

/** The command line's rule, else the configuration's. Throws E_USAGE, E_CONFIG. */
function ruleFor(authority: Authority, { keep }: PruneOptions): RetentionRule {
  if (keep !== undefined) return keep;
  if (authority.kind !== "config") throw new ColdkeepError("E_USAGE", "--keep is missing: a kit says nothing of how long archives are kept", { hint: "Give the rule, like --keep daily=7,weekly=4,monthly=12." });
  const rule = authority.loaded.config.retention?.rule;
  if (rule !== undefined) return rule;
  throw new ColdkeepError("E_CONFIG", "the configuration has no `retention`, so archives are kept for ever", { hint: "Add one, like `retention: {daily: 7, weekly: 4, monthly: 12}`." });
}

function worst(results: readonly HostPrune[]): ExitStatus {
  const statuses = results.map(({ exitStatus }) => exitStatus);
  if (statuses.every((status) => status === EXIT.done)) return EXIT.done;
  return statuses.find((status) => status === EXIT.failed) ?? statuses.find((status) => status !== EXIT.done) ?? EXIT.failed;
}

function freed(results: readonly HostPrune[]): number {
  return results.reduce((sum, { done }) => sum + (done?.regions.reduce((bytes, { freedBytes }) => bytes + freedBytes, 0) ?? 0), 0);
}

function regionStates(vault: OpenVault, results: readonly HostPrune[]): Record<string, string> {
  const isDone = results.every(({ error }) => error === null);
  return Object.fromEntries(vault.regions.map((region) => [region.name, !vault.reachable.includes(region) ? "unreachable" : isDone ? "complete" : "behind"]));
}
