/** What a nightly run needs on this machine: sources it can read, keys where they belong, room, and what Node brings along. */
import { existsSync, opendirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { openNativeAead, openNativeZstd } from "../../codec/native.ts";
import type { Config } from "../../config/schema.ts";
import { freeSpace } from "../../disk/free-space.ts";
import { libc, LIBC_LOSSES } from "../../disk/libc.ts";
import { fsPath } from "../../disk/long-path.ts";
import { lstatText } from "../../disk/stat.ts";
import { messageOf } from "../../errors.ts";
import { formatSize, GIB, MIB } from "../../units.ts";
import { refuseIdentities, type HostSetup } from "../host-setup.ts";
import { warnOfKit } from "../kit-note.ts";
import { TOOL } from "../tool.ts";
import { type Check, checkedBy, fail, ok, warn } from "./check.ts";

/** Less is too little for the catalog and index of a few million files. */
const STATE_BYTES_LOW = GIB;
const STATE_BYTES_LEAST = 64 * MIB;
/** Volumes above 64 MiB go through files, and restores keep what they sort in the temporary folder. */
const TEMPORARY_BYTES_LOW = 512 * MIB;

function sourceFault(path: string): string | null {
  try {
    const stat = lstatText(path);
    if (stat === null) return "does not exist";
    if (stat.type === "dir") opendirSync(fsPath(path)).closeSync();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

function checkSources({ sources, safety }: Config): Check[] {
  const checks = sources.map(({ path }) => {
    const fault = sourceFault(path);
    return fault === null ? ok(`source ${path}`, "can be read") : fail(`source ${path}`, fault, "Correct `sources`, mount its disk, or run as a user who may read it.");
  });
  const missing = safety.mustExist.filter((path) => sourceFault(path) !== null);
  const must = missing.map((path) => fail("safety.mustExist", `${path} does not exist`, "Mount its disk, or take it out of safety.mustExist."));
  return [...checks, ...must];
}

function checkPrivilege(uid: number): Check {
  if (uid === 0) return ok("privilege", "runs as root: every file can be read");
  return warn("privilege", `runs as user ${uid}`, "Files this user may not read make archives partial: run as root, or grant CAP_DAC_READ_SEARCH.");
}

async function checkKeys(setup: HostSetup, env: Readonly<Record<string, string | undefined>>): Promise<Check[]> {
  const separated = await checkedBy("key separation", async () => {
    await refuseIdentities(setup, env);
    return ok("key separation", "no identity that opens the archives was found on this host");
  });
  const kits: Check[] = [];
  warnOfKit(setup.keysDir, (event) => {
    if (event.kind === "warning") kits.push(warn("kit", event.message, event.hint ?? ""));
  });
  const { recipients } = setup.loaded.config;
  const count =
    recipients.length > 1
      ? ok("recipients", `${recipients.length} recipients can open the archives`)
      : warn("recipients", "a single identity opens the archives: when it is lost, so are they", "Make a second one elsewhere with `coldkeep key new --kit FILE --to FILE`, and add its recipient to the configuration.");
  return [separated, ...kits, count];
}

/** The nearest folder above a path that is there. */
function existing(path: string): string {
  return existsSync(path) || path === "/" ? path : existing(dirname(path));
}

function checkRoom(name: string, path: string, low: number, least: number): Check {
  const { bytes } = freeSpace(existing(path));
  const message = `${formatSize(bytes)} free for ${path}`;
  if (bytes < least) return fail(name, message, "Make room on that disk.");
  return bytes < low ? warn(name, message, "Make room on that disk before a night needs it.") : ok(name, message);
}

function checkPlatform(): Check[] {
  const lost = libc === null ? warn("system calls", `Node cannot call the C library: ${LIBC_LOSSES.join("; ")} are not kept`, "Run Node 26 on Linux, x86-64 or arm64.") : ok("system calls", "extended attributes, holes and nanoseconds are kept");
  const fast = openNativeZstd() !== null && openNativeAead() !== null;
  const codecs = fast ? ok("codecs", "zstd and ChaCha20-Poly1305 are called directly") : warn("codecs", "zstd or ChaCha20-Poly1305 go through Node's slower interface", "Use a Node 26 that exports both, such as the official builds.");
  return [ok("version", `${TOOL}, Node ${process.version}, ${process.platform} ${process.arch}`), lost, codecs];
}

/** All checks that ask no region. */
export async function checkHost(setup: HostSetup, env: Readonly<Record<string, string | undefined>>, uid: number): Promise<Check[]> {
  const { config } = setup.loaded;
  return [
    ...checkPlatform(),
    checkPrivilege(uid),
    ...checkSources(config),
    ...(await checkKeys(setup, env)),
    await checkedBy("room for state", () => checkRoom("room for state", config.state, STATE_BYTES_LOW, STATE_BYTES_LEAST)),
    await checkedBy("room for temporary files", () => checkRoom("room for temporary files", tmpdir(), TEMPORARY_BYTES_LOW, STATE_BYTES_LEAST)),
  ];
}
