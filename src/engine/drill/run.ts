/** One drill: an archive restored for real in a private place, timed, judged, cleaned away, and its result signed into every region. */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import type { Signer } from "../../codec/signer.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { ColdkeepError, EXIT, type ExitStatus, messageOf } from "../../errors.ts";
import type { DrillFacts } from "../../format/drill-report.ts";
import { abandonedFolders, makeWorkFolder, removeWorkFolder } from "../../machine/quarantine/work-folder.ts";
import type { Emit } from "../events.ts";
import { type FoundArchive, OpenVault } from "../open-vault.ts";
import { recordStatement } from "../operator-record.ts";
import type { Compared } from "./compare-live.ts";
import { drillFault } from "./fault.ts";
import { drillFiles } from "./files.ts";
import { COPY_REGION, copyArchive, copyKit, damageCopy } from "./local-copy.ts";
import { Stages } from "./stages.ts";

const WHY_MAX = 10;
const WHY_CHARACTERS_MAX = 500;

export type DrillOrder = {
  vault: OpenVault;
  /** An id, the start of one, `latest` or `random`. */
  archive: string | undefined;
  sabotage: boolean;
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
  depth: "files";
  result: "passed" | "failed";
  sabotaged: boolean;
  notKept: string[];
  /** Objects that a region had wrong and another had right: `region id`. */
  damaged: string[];
  /** Null on another machine. */
  compared: Compared | null;
  /** Id of the record, null where none was left. */
  record: string | null;
  exitStatus: ExitStatus;
};

type Drilled = Pick<DrillReport, "entries" | "bytes" | "notKept" | "damaged" | "compared">;
const NOTHING: Drilled = { entries: 0, bytes: 0, notKept: [], damaged: [], compared: null };

/** Throws what kept the drill from being held: E_NOT_FOUND without an archive, E_REGION, E_DISK, E_INTERRUPTED. A drill that failed is a result. */
export async function runDrill(order: DrillOrder): Promise<DrillReport> {
  const { vault, work, emit, signal } = order;
  for (const path of abandonedFolders(work)) {
    await removeWorkFolder(path);
    emit({ kind: "warning", message: `a drill was cut off earlier; what it left in ${path} is removed` });
  }
  const found = await chooseArchive(order);
  const stages = new Stages(emit);
  const folder = makeWorkFolder(work);
  let drilled = NOTHING;
  let why: string[] = [];
  try {
    drilled = await drillIn(folder, found, order, stages);
  } catch (error) {
    signal.throwIfAborted();
    const fault = drillFault(error);
    if (fault === null) throw error;
    why = fault;
  } finally {
    await removeWorkFolder(folder);
  }
  return conclude(order, found, stages, drilled, why);
}

async function chooseArchive({ vault, archive }: DrillOrder): Promise<FoundArchive> {
  if (archive !== "random") return vault.archive(archive);
  const { archives } = await vault.survey(vault.host());
  const whole = archives.filter(({ header }) => header.status === "complete");
  const picked = whole.length === 0 ? undefined : whole[randomInt(whole.length)];
  return vault.archive(picked?.header.id);
}

async function drillIn(folder: string, found: FoundArchive, order: DrillOrder, stages: Stages): Promise<Drilled> {
  const { vault, sabotage, own, emit, signal } = order;
  if (!sabotage) return drillFiles({ vault, found, folder, own, stages, emit, signal });
  const copy = join(folder, "vault");
  await stages.run("fetch", () => copyArchive(vault, found, copy, emit, signal));
  const volume = damageCopy(found, copy);
  emit({ kind: "detail", message: `volume ${volume} of the copy is damaged; the vault is as it was` });
  using damagedVault = await OpenVault.open({ authority: { kind: "kit", kit: copyKit(vault, copy) }, region: COPY_REGION, host: found.seen.header.host, emit, signal });
  return await drillFiles({ vault: damagedVault, found: await damagedVault.archive(found.seen.header.id), folder, own: null, stages, emit, signal });
}

async function conclude(order: DrillOrder, { seen: { header } }: FoundArchive, stages: Stages, drilled: Drilled, why: readonly string[]): Promise<DrillReport> {
  const { sabotage, signer } = order;
  const result = why.length === 0 ? "passed" : "failed";
  // Removing the folder threw where anything of it stayed.
  const facts: DrillFacts = {
    stages: stages.done,
    rtoMs: null,
    ageMs: Math.max(0, Date.now() - Date.parse(header.startedAt)),
    entries: drilled.entries,
    bytes: drilled.bytes,
    why: why.slice(0, WHY_MAX).map((each) => each.slice(0, WHY_CHARACTERS_MAX)),
    cleanUp: { processesLeft: 0, mountsLeft: 0, folderLeft: false },
  };
  const isAsItShould = (result === "failed") === sabotage;
  const record = signer === null || sabotage ? null : await leaveRecord(order, signer, { host: header.host, archive: header.id, result, facts });
  const { id: archive, host, startedAt: archiveStartedAt } = header;
  return { host, archive, archiveStartedAt, depth: "files", result, sabotaged: sabotage, ...drilled, ...facts, record, exitStatus: isAsItShould ? EXIT.done : EXIT.failed };
}

type Said = { host: string; archive: string; result: "passed" | "failed"; facts: DrillFacts };

/** What cannot be recorded is told: the drill was held all the same. */
async function leaveRecord({ vault, emit, signal }: DrillOrder, signer: Signer, { host, archive, result, facts }: Said): Promise<string | null> {
  try {
    const { id } = await recordStatement(vault, { kind: "drill", host, archive, depth: "files", result, report: JSON.stringify(facts) }, signer, emit, signal);
    return id;
  } catch (error) {
    signal.throwIfAborted();
    emit({ kind: "warning", message: `no record of the drill was left: ${messageOf(error)}`, hint: error instanceof ColdkeepError && error.hint !== undefined ? error.hint : "`coldkeep status` cannot tell of it. With keys that only read, give --unrecorded." });
    return null;
  }
}
