/** One drill: an archive restored for real in a private place, timed, judged, cleaned away, and its result signed into every region. */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import type { Signer } from "../../codec/signer.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { ColdkeepError, EXIT, type ExitStatus, messageOf } from "../../errors.ts";
import type { DrillDepth, DrillFacts } from "../../format/drill-report.ts";
import type { EndProof } from "../../machine/quarantine/quarantine.ts";
import { abandonedFolders, makeWorkFolder, removeWorkFolder } from "../../machine/quarantine/work-folder.ts";
import type { Emit } from "../events.ts";
import { type FoundArchive, OpenVault } from "../open-vault.ts";
import { recordStatement } from "../operator-record.ts";
import type { Compared } from "./compare-live.ts";
import { drillFault } from "./fault.ts";
import { drillFiles, type FilesDrilled } from "./files.ts";
import { COPY_REGION, copyArchive, copyKit, damageCopy } from "./local-copy.ts";
import { drillMachine, type MachineDrilled } from "./machine.ts";
import { Stages } from "./stages.ts";

const WHY_MAX = 10;
const WHY_START = 200;
const WHY_END = 600;

export type DrillOrder = {
  vault: OpenVault;
  /** An id, the start of one, `latest` or `random`. */
  archive: string | undefined;
  depth: DrillDepth;
  sabotage: boolean;
  /** What may be lacking of a rebuilt machine. */
  accept: readonly string[];
  /** The command line that started this program. */
  program: readonly string[];
  /** Where base systems are kept. */
  cache: string;
  /** Folder in which the drill gets one of its own. */
  work: string;
  /** The configuration of the host that is drilled, where this is its machine. */
  own: LoadedConfig | null;
  /** Null: no record is left. */
  signer: Signer | null;
  emit: Emit;
  signal: AbortSignal;
};

export type DrillReport = DrillFacts & {
  host: string;
  archive: string;
  archiveStartedAt: string;
  depth: DrillDepth;
  result: "passed" | "failed";
  sabotaged: boolean;
  notKept: string[];
  /** Archives that are newer and right in no region, where the latest was to be drilled. */
  passedOver: string[];
  /** Objects that a region had wrong and another had right: `region id`. */
  damaged: string[];
  /** Null on another machine. */
  compared: Compared | null;
  /** Null at depth files. */
  machine: MachineDrilled | null;
  rtoObjectiveMs: number | null;
  /** Id of the record, null where none was left. */
  record: string | null;
  exitStatus: ExitStatus;
};

type Drilled = FilesDrilled & Pick<DrillReport, "machine">;
const NOTHING: Drilled = { entries: 0, bytes: 0, notKept: [], damaged: [], compared: null, machine: null };
const CLEAN: EndProof = { processesLeft: 0, mountsLeft: 0 };

/** Throws what kept the drill from being held: E_NOT_FOUND without an archive, E_REGION, E_DISK, E_INTERRUPTED. A drill that failed is a result. */
export async function runDrill(order: DrillOrder): Promise<DrillReport> {
  const { work, emit, signal } = order;
  for (const path of abandonedFolders(work)) {
    await removeWorkFolder(path);
    emit({ kind: "warning", message: `a drill was cut off earlier; what it left in ${path} is removed` });
  }
  const found = await chooseArchive(order);
  const stages = new Stages(emit);
  const folder = makeWorkFolder(work);
  let drilled = NOTHING;
  let why: string[] = [];
  let proof = CLEAN;
  const ended = (each: EndProof): void => void (proof = { processesLeft: proof.processesLeft + each.processesLeft, mountsLeft: proof.mountsLeft + each.mountsLeft });
  try {
    drilled = order.depth === "files" ? { ...(await drillFilesIn(folder, found, order, stages)), machine: null } : await drillMachineIn(folder, found, { ...order, depth: order.depth }, stages, ended);
  } catch (error) {
    signal.throwIfAborted();
    const fault = drillFault(error);
    if (fault === null) throw error;
    why = fault;
  } finally {
    await removeWorkFolder(folder);
  }
  return conclude(order, found, stages, drilled, { why, proof });
}

async function chooseArchive({ vault, archive }: DrillOrder): Promise<FoundArchive> {
  if (archive !== "random") return vault.archive(archive);
  const { archives } = await vault.survey(vault.host());
  const whole = archives.filter(({ header }) => header.status === "complete");
  const picked = whole.length === 0 ? undefined : whole[randomInt(whole.length)];
  return vault.archive(picked?.header.id);
}

async function drillFilesIn(folder: string, found: FoundArchive, order: DrillOrder, stages: Stages): Promise<FilesDrilled> {
  const { vault, sabotage, own, emit, signal } = order;
  if (!sabotage) return drillFiles({ vault, found, folder, own, stages, emit, signal });
  const copy = join(folder, "vault");
  await stages.run("fetch", () => copyArchive(vault, found, copy, emit, signal));
  const volume = damageCopy(found, copy);
  emit({ kind: "detail", message: `volume ${volume} of the copy is damaged; the vault is as it was` });
  using damagedVault = await OpenVault.open({ authority: { kind: "kit", kit: copyKit(vault, copy) }, region: COPY_REGION, host: found.seen.header.host, emit, signal });
  return await drillFiles({ vault: damagedVault, found: await damagedVault.archive(found.seen.header.id), folder, own: null, stages, emit, signal });
}

async function drillMachineIn(folder: string, found: FoundArchive, order: DrillOrder & { depth: "databases" | "services" }, stages: Stages, ended: (proof: EndProof) => void): Promise<Drilled> {
  const { vault, depth, sabotage, accept, program, cache, emit, signal } = order;
  const machine = await drillMachine({ vault, found, folder, cache, depth, sabotage, accept, program, stages, emit, signal }, ended);
  const { entries, sourceBytes } = found.seen.header.totals;
  return { ...NOTHING, entries, bytes: sourceBytes, machine };
}

/** What a machine that is rebuilt anew would take: its own system is there before anybody begins. */
function rtoOf({ depth }: DrillOrder, stages: Stages, { machine }: Drilled): number | null {
  const isMeasured = machine !== null && (depth === "databases" || machine.rebuild.rtoMs !== null);
  return isMeasured ? stages.sumMs(["fetch", "packages", "rebuild"]) : null;
}

/** What failed stands at the start of a message, and why at the end of what the program said. */
function shortened(why: string): string {
  const line = why.replaceAll(/\s*\n\s*/g, " | ");
  return line.length <= WHY_START + WHY_END ? line : `${line.slice(0, WHY_START)} … ${line.slice(-WHY_END)}`;
}

type Ending = { why: readonly string[]; proof: EndProof };

async function conclude(order: DrillOrder, { seen: { header }, passedOver }: FoundArchive, stages: Stages, drilled: Drilled, { why, proof }: Ending): Promise<DrillReport> {
  const { sabotage, signer, depth, own } = order;
  const result = why.length === 0 ? "passed" : "failed";
  // Removing the folder threw where anything of it stayed.
  const facts: DrillFacts = {
    stages: stages.done,
    rtoMs: rtoOf(order, stages, drilled),
    ageMs: Math.max(0, Date.now() - Date.parse(header.startedAt)),
    entries: drilled.entries,
    bytes: drilled.bytes,
    why: why.slice(0, WHY_MAX).map(shortened),
    cleanUp: { ...proof, folderLeft: false },
  };
  const rtoObjectiveMs = drilled.machine?.rebuild.rtoObjectiveMs ?? own?.config.objectives.rtoMs ?? null;
  const isAsItShould = (result === "failed") === sabotage;
  const record = signer === null || sabotage ? null : await leaveRecord(order, signer, { host: header.host, archive: header.id, result, facts });
  const { id: archive, host, startedAt: archiveStartedAt } = header;
  return { host, archive, archiveStartedAt, depth, result, sabotaged: sabotage, passedOver, ...drilled, ...facts, rtoObjectiveMs, record, exitStatus: isAsItShould ? passedStatus(drilled, passedOver, facts, rtoObjectiveMs) : EXIT.failed };
}

function passedStatus({ machine }: Drilled, passedOver: readonly string[], { rtoMs }: DrillFacts, objectiveMs: number | null): ExitStatus {
  if (passedOver.length > 0 || (machine !== null && machine.lacks.length > 0)) return EXIT.partial;
  return rtoMs !== null && objectiveMs !== null && rtoMs > objectiveMs ? EXIT.threshold : EXIT.done;
}

type Said = { host: string; archive: string; result: "passed" | "failed"; facts: DrillFacts };

/** What cannot be recorded is told: the drill was held all the same. */
async function leaveRecord({ vault, depth, emit, signal }: DrillOrder, signer: Signer, { host, archive, result, facts }: Said): Promise<string | null> {
  try {
    const { id } = await recordStatement(vault, { kind: "drill", host, archive, depth, result, report: JSON.stringify(facts) }, signer, emit, signal);
    return id;
  } catch (error) {
    signal.throwIfAborted();
    emit({ kind: "warning", message: `no record of the drill was left: ${messageOf(error)}`, hint: error instanceof ColdkeepError && error.hint !== undefined ? error.hint : "`coldkeep status` cannot tell of it. With keys that only read, give --unrecorded." });
    return null;
  }
}
