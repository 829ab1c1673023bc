/**
 * Putting the single executable into the regions, for a bare machine that has neither this program nor Node. The object is
 * named by its digest; a signed note, written after it, says which one to take (format §12).
 */
import { randomBytes } from "node:crypto";
import { formatPublicKey, signedObject, verifySignature } from "../codec/signer.ts";
import { sha256Hex } from "../codec/digest.ts";
import type { LoadedConfig } from "../config/load.ts";
import { ColdkeepError, EXIT, messageOf, type ExitStatus } from "../errors.ts";
import { ID_RANDOM_BYTES, makeId } from "../format/id.ts";
import { objectKey, programKey } from "../format/object-key.ts";
import { encodeProgramNote, parseProgramNote, PROGRAM_NOTE_BYTES_MAX, PROGRAM_NOTE_LINE_BYTES_MAX, type ProgramNote } from "../format/program-note.ts";
import { signedMessage, splitSigned } from "../format/signed-text.ts";
import { FORMAT_VERSION } from "../format/format-version.ts";
import type { Emit } from "./events.ts";
import { readHostSetup, regionSpecs, type HostSetup } from "./host-setup.ts";
import { listObjects } from "./manifests.ts";
import { readProgramFile, type ProgramFile } from "./own-program.ts";
import { closeRegions, openRegions, reachableRegions, type Region } from "./region.ts";

export type PublishOrder = {
  loaded: LoadedConfig;
  /** Undefined: the single executable that runs. */
  program: string | undefined;
  emit: Emit;
  signal: AbortSignal;
};

export type PublishReport = {
  id: string;
  version: string;
  platform: string;
  sizeBytes: number;
  sha256: string;
  /** `present`: it was there already. */
  regions: Record<string, "sent" | "present" | "missing">;
  exitStatus: ExitStatus;
};

/** A note with the bytes a region holds or gets. */
type SignedNote = { note: ProgramNote; bytes: Buffer };

/** Throws E_USAGE for a file that is not the program, E_CONFIG, E_REFUSED, and E_REGION when no region can be used. */
export async function publishProgram({ loaded, program, emit, signal }: PublishOrder): Promise<PublishReport> {
  const setup = readHostSetup(loaded);
  const file = await readProgramFile(program);
  const regions = await openRegions(regionSpecs(loaded), emit);
  try {
    const reachable = await reachableRegions(regions, loaded.config.vault, emit, signal);
    const held = await Promise.all(reachable.map((region) => newestNote(region, setup, emit, signal)));
    const newest = held.flatMap((each) => each ?? []).toSorted((a, b) => (a.note.id < b.note.id ? 1 : -1))[0];
    const signed = newest?.note.sha256 === file.sha256 ? newest : makeNote(setup, file, newest);
    const states: PublishReport["regions"] = Object.fromEntries(regions.map(({ name }) => [name, "missing"]));
    await Promise.all(
      reachable.map(async (region) => {
        states[region.name] = await tryPublish(region, file, signed, { emit, signal });
      }),
    );
    const { version, platform, sizeBytes, sha256 } = file;
    return { id: signed.note.id, version, platform, sizeBytes, sha256, regions: states, exitStatus: statusOf(Object.values(states)) };
  } finally {
    closeRegions(regions);
  }
}

function statusOf(states: readonly string[]): ExitStatus {
  const missing = states.filter((state) => state === "missing").length;
  return missing === 0 ? EXIT.done : missing === states.length ? EXIT.failed : EXIT.partial;
}

/** The newest note of this host in a region; one that does not verify is told, and is none. */
async function newestNote(region: Region, setup: HostSetup, emit: Emit, signal: AbortSignal): Promise<SignedNote | null> {
  const { host } = setup.loaded.config;
  try {
    for (const id of [...(await listObjects(region, host, "program", signal)).keys()].toSorted().toReversed()) {
      const bytes = await region.store.fetchBytes(objectKey(host, "program", id), { maxBytes: PROGRAM_NOTE_BYTES_MAX, signal });
      const note = verifyNote(bytes, id, setup);
      if (note !== null) return { note, bytes };
      emit({ kind: "warning", message: `region "${region.name}": the program note ${id} is not signed by this host, and is passed over` });
    }
  } catch (error) {
    // Whether the region can be used shows when the program is put there.
    signal.throwIfAborted();
    emit({ kind: "detail", message: `region "${region.name}": ${messageOf(error)}` });
  }
  return null;
}

function verifyNote(bytes: Buffer, id: string, setup: HostSetup): ProgramNote | null {
  const { vault, host } = setup.loaded.config;
  try {
    const { line, signature } = splitSigned(bytes, PROGRAM_NOTE_LINE_BYTES_MAX, `program note ${id}`);
    if (!verifySignature(setup.signer.publicKey, signedMessage("program", line), signature)) return null;
    const note = parseProgramNote(line, `program note ${id}`);
    return note.vault === vault && note.host === host && note.id === id ? note : null;
  } catch {
    return null;
  }
}

function makeNote(setup: HostSetup, file: ProgramFile, newest: SignedNote | undefined): SignedNote {
  const { vault, host } = setup.loaded.config;
  const nowMs = Date.now();
  // The newest note counts, so this one must come after what is there, whatever this machine's clock says.
  const timeMs = Math.max(nowMs, newest === undefined ? 0 : Date.parse(newest.note.at) + 1);
  const note: ProgramNote = {
    type: "program",
    format: FORMAT_VERSION,
    vault,
    host,
    id: makeId(timeMs, randomBytes(ID_RANDOM_BYTES)),
    signer: formatPublicKey(setup.signer.publicKey),
    at: new Date(timeMs).toISOString(),
    version: file.version,
    platform: file.platform,
    size: file.sizeBytes,
    sha256: file.sha256,
  };
  return { note, bytes: signedObject(setup.signer.privateKey, "program", encodeProgramNote(note)) };
}

type Run = { emit: Emit; signal: AbortSignal };

async function tryPublish(region: Region, file: ProgramFile, signed: SignedNote, { emit, signal }: Run): Promise<"sent" | "present" | "missing"> {
  try {
    return await publish(region, file, signed, signal);
  } catch (error) {
    signal.throwIfAborted();
    const hint = error instanceof ColdkeepError ? error.hint : undefined;
    emit({ kind: "warning", message: `region "${region.name}" has not got the program: ${messageOf(error)}`, hint: hint ?? "Run `coldkeep publish-program` again when it answers." });
    return "missing";
  }
}

/** The program first, its note last: a note never names what is not there. */
async function publish(region: Region, file: ProgramFile, { note, bytes }: SignedNote, signal: AbortSignal): Promise<"sent" | "present"> {
  const key = programKey(file.sha256);
  const isThere = await holds(region, key, file.sizeBytes, signal);
  if (!isThere) {
    await region.store.put(key, { path: file.path, sizeBytes: file.sizeBytes }, { sha256: file.sha256, signal });
    if (!(await holds(region, key, file.sizeBytes, signal))) throw new ColdkeepError("E_OBJECT", `${key} is not there after it was stored`);
  }
  const noteKey = objectKey(note.host, "program", note.id);
  if (await holds(region, noteKey, bytes.length, signal)) return isThere ? "present" : "sent";
  await region.store.put(noteKey, bytes, { sha256: sha256Hex(bytes), signal });
  return "sent";
}

async function holds(region: Region, key: string, sizeBytes: number, signal: AbortSignal): Promise<boolean> {
  const found = await region.store.head(key, signal);
  if (found === null || found.sizeBytes === sizeBytes) return found !== null;
  throw new ColdkeepError("E_OBJECT", `region "${region.name}" holds ${key} with ${found.sizeBytes} bytes instead of ${sizeBytes}`, {
    hint: "Remove that object from the region and run `coldkeep publish-program` again.",
  });
}
