/** One repair: find, plan, apply, and a signed word on what is lost. Needs no key that decrypts. */
import type { Signer } from "../../codec/signer.ts";
import { ColdkeepError, EXIT, messageOf, type ExitStatus } from "../../errors.ts";
import { LOST_OBJECTS_MAX } from "../../format/record.ts";
import type { Emit } from "../events.ts";
import type { OpenRegions } from "../open-vault.ts";
import { recordStatement } from "../operator-record.ts";
import type { Region } from "../region.ts";
import { applyRepair, type Applied } from "./apply.ts";
import { findFaults } from "./find.ts";
import { planHost, type LostItem, type RepairPlan } from "./plan.ts";
import { planMarker, planTexts } from "./vault-files.ts";

export type RepairOrder = {
  /** With all its regions open. */
  vault: OpenRegions;
  hosts: readonly string[];
  /** Only this region is repaired; the others are copied from. */
  region: string | undefined;
  quick: boolean;
  dryRun: boolean;
  /** Who may sign records, to say what is lost. */
  signer: Signer | undefined;
  emit: Emit;
  signal: AbortSignal;
};

export type RepairedRegion = {
  /** `whole`: nothing was wrong. `repaired`: nothing is any more. */
  state: "whole" | "repaired" | "incomplete" | "unreachable";
  copied: number;
  bytesCopied: number;
  failed: number;
  reason?: string;
};

export type RepairReport = {
  plan: RepairPlan;
  applied: Applied | null;
  regions: Record<string, RepairedRegion>;
  /** Objects that a record of this run calls lost. */
  recorded: number;
  durationMs: number;
  exitStatus: ExitStatus;
};

/** Throws E_USAGE, E_REGION and StoreError when no region answers, E_INTERRUPTED. What cannot be repaired is reported, not thrown. */
export async function repairVault(order: RepairOrder): Promise<RepairReport> {
  const startedAtMs = Date.now();
  const { vault, region, dryRun, emit, signal } = order;
  if (region !== undefined && !vault.regions.some(({ name }) => name === region)) {
    throw new ColdkeepError("E_USAGE", `there is no region "${region}"`, { hint: `Known are: ${vault.regions.map(({ name }) => name).join(", ")}.` });
  }
  const plan: RepairPlan = { copies: [], lost: [], withheld: [] };
  const reachable = await planVault(order, plan);
  const away = new Map<string, string>();
  for (const host of order.hosts) {
    const findings = await findFaults(host, { regions: vault.regions, reachable, only: region ?? null, trust: vault.trust, quick: order.quick, emit, signal });
    const found = planHost(findings);
    plan.copies.push(...found.copies);
    plan.lost.push(...found.lost);
    plan.withheld.push(...found.withheld);
    for (const tally of findings.tallies) if (tally.reason !== undefined) away.set(tally.region.name, tally.reason);
  }
  const applied = dryRun ? null : await applyRepair(plan, { reachable, trust: vault.trust, emit, signal });
  const recorded = dryRun ? 0 : await recordLost(plan.lost, reachable, order);
  const regions = regionReports(order, plan, applied, away);
  const report = { plan, applied, regions, recorded, durationMs: Date.now() - startedAtMs };
  return { ...report, exitStatus: statusOf(report) };
}

/** Plans what belongs to no host. Returns the regions to work with: a region without its marker is one where it can be given back. */
async function planVault({ vault, hosts, region, emit, signal }: RepairOrder, plan: RepairPlan): Promise<Region[]> {
  const reachable = [...vault.reachable];
  for (const each of vault.regions.filter((other) => !vault.reachable.includes(other))) {
    const marker = await planMarker(each, { reachable: vault.reachable, trust: vault.trust, hosts, nowMs: Date.now(), emit, signal });
    if (marker === null) continue;
    reachable.push(each);
    if (region === undefined || region === each.name) plan.copies.push(marker);
  }
  for (const each of reachable.filter(({ name }) => region === undefined || region === name)) {
    const texts = await planTexts(each, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      emit({ kind: "warning", message: messageOf(error), hint: error instanceof ColdkeepError ? error.hint : undefined });
      return [];
    });
    plan.copies.push(...texts);
  }
  return reachable;
}

/** One record for each host and as many objects as fit; nothing while a region that may have them does not answer. */
async function recordLost(lost: readonly LostItem[], regions: readonly Region[], { vault, signer, emit, signal }: RepairOrder): Promise<number> {
  const unrecorded = lost.filter(({ kind, isSure, isRecorded }) => kind !== "manifest" && isSure && !isRecorded);
  if (signer === undefined) return 0;
  let recorded = 0;
  for (const [host, items] of Map.groupBy(unrecorded, (item) => item.host)) {
    const ids = [...new Set(items.map(({ object }) => object))];
    for (let at = 0; at < ids.length; at += LOST_OBJECTS_MAX) {
      const objects = ids.slice(at, at + LOST_OBJECTS_MAX);
      try {
        await recordStatement({ ...vault, reachable: [...regions] }, { kind: "lost", host, objects }, signer, emit, signal);
        recorded += objects.length;
      } catch (error) {
        signal.throwIfAborted();
        emit({ kind: "warning", message: messageOf(error), hint: "Run `coldkeep repair` again when it answers." });
      }
    }
  }
  return recorded;
}

function regionReports({ vault, region, dryRun }: RepairOrder, plan: RepairPlan, applied: Applied | null, away: ReadonlyMap<string, string>): Record<string, RepairedRegion> {
  const names = vault.regions.map(({ name }) => name).filter((name) => region === undefined || name === region);
  const entries = names.map((name): [string, RepairedRegion] => {
    const copies = plan.copies.filter((copy) => copy.region === name);
    const done = copies.filter((copy) => applied?.outcomes.get(copy)?.state === "copied");
    const failed = copies.filter((copy) => applied?.outcomes.get(copy)?.state === "failed").length;
    const reason = away.get(name) ?? applied?.stopped.get(name);
    const isIncomplete = failed > 0 || plan.withheld.some((each) => each.region === name) || plan.lost.length > 0 || (dryRun && copies.length > 0);
    const state = away.has(name) ? "unreachable" : isIncomplete ? "incomplete" : copies.length > 0 ? "repaired" : "whole";
    const bytesCopied = done.reduce((sum, { bytes }) => sum + bytes, 0);
    return [name, { state, copied: done.length, bytesCopied, failed, ...(reason !== undefined && { reason }) }];
  });
  return Object.fromEntries(entries);
}

/** Whole or repaired is done; of a dry run also what could be. */
function statusOf({ plan, applied, regions }: Omit<RepairReport, "exitStatus">): ExitStatus {
  const states = Object.values(regions).map(({ state }) => state);
  if (plan.lost.length > 0 || plan.withheld.length > 0 || states.includes("unreachable")) return EXIT.partial;
  return applied !== null && states.includes("incomplete") ? EXIT.partial : EXIT.done;
}
