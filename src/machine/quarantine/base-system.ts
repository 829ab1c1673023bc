/** The system a drill begins with: a minimal Debian, made once by debootstrap and kept, so that the next drill needs no network for it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, createReadStream, createWriteStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import { ColdkeepError } from "../../errors.ts";
import { runTool, runToolWell, toolEnvironment } from "../run-tool.ts";

const MAKE_MS = 45 * 60_000;
const SHORT_MS = 60_000;
const USUAL_MIRROR = "http://deb.debian.org/debian";

export type BaseOrder = { codename: string; arch: string; /** Folder in which base systems are kept. */ cache: string; /** New directory for it. */ root: string; signal: AbortSignal };

/** The mirror this machine uses for that release; else the usual one. */
async function mirrorFor(codename: string, signal: AbortSignal): Promise<string> {
  const asked = await runTool({ argv: ["apt-get", "indextargets", "--no-release-info", "--format", "$(CODENAME) $(SUITE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"], timeoutMs: SHORT_MS, signal }).catch(() => null);
  signal.throwIfAborted();
  const rows = (asked?.stdout ?? "").split("\n").map((line) => line.split(" "));
  const own = rows.find(([name, , component, uri]) => name === codename && component === "main" && uri !== undefined && !uri.includes("security"));
  return own?.[3]?.replace(/\/$/, "") ?? USUAL_MIRROR;
}

function tar(args: readonly string[]): ReturnType<typeof spawn> {
  return spawn("tar", ["--numeric-owner", "--xattrs", "--xattrs-include=*", ...args], { env: toolEnvironment(), stdio: ["pipe", "pipe", "inherit"] });
}

async function ended(child: ReturnType<typeof spawn>, doing: string): Promise<void> {
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0) throw new ColdkeepError("E_DISK", `${doing} failed: tar ended with ${status ?? "a signal"}`);
}

async function pack(root: string, file: string): Promise<void> {
  const child = tar(["-C", root, "-cf", "-", "."]);
  const { stdout } = child;
  if (stdout === null) throw new ColdkeepError("E_INTERNAL", "tar has no output");
  await Promise.all([pipeline(stdout, createZstdCompress(), createWriteStream(file, { mode: 0o600 })), ended(child, `keeping ${root}`)]);
}

async function unpack(file: string, root: string): Promise<void> {
  const child = tar(["-C", root, "-xpf", "-"]);
  const { stdin } = child;
  if (stdin === null) throw new ColdkeepError("E_INTERNAL", "tar has no input");
  await Promise.all([pipeline(createReadStream(file), createZstdDecompress(), stdin), ended(child, `unpacking ${file}`)]);
}

/** Makes the root, from what is kept where there is something. Throws E_NOT_FOUND without debootstrap, E_DISK, the signal's reason. */
export async function makeBaseSystem(order: BaseOrder): Promise<{ fromCache: boolean }> {
  const made = await fill(order);
  // Below it everybody's programs run: this process may make its own folders for itself alone.
  chmodSync(order.root, 0o755);
  return made;
}

async function fill({ codename, arch, cache, root, signal }: BaseOrder): Promise<{ fromCache: boolean }> {
  if (!/^[a-z]+$/.test(codename) || !/^[a-z0-9]+$/.test(arch)) throw new ColdkeepError("E_REFUSED", `the archive is of a system this program cannot make a base of ("${codename}", "${arch}")`, { hint: "Drill at depth files, or on a machine set up by hand with `coldkeep restore --machine`." });
  const file = join(cache, `debian-${codename}-${arch}.tar.zst`);
  mkdirSync(root, { recursive: true });
  if (existsSync(file)) {
    await unpack(file, root);
    return { fromCache: true };
  }
  const mirror = await mirrorFor(codename, signal);
  const order = { argv: ["debootstrap", "--variant=minbase", "--include=ca-certificates", `--arch=${arch}`, codename, root, mirror] as const, timeoutMs: MAKE_MS, signal };
  await runToolWell(order);
  rmSync(join(root, "var/cache/apt/archives"), { recursive: true, force: true });
  mkdirSync(join(root, "var/cache/apt/archives/partial"), { recursive: true });
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}.new`;
  try {
    await pack(root, temporary);
    renameSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
  return { fromCache: false };
}

/** What every user of the system inside reads, whatever this process keeps for itself. */
function writeForAll(path: string, content: string | Buffer): void {
  writeFileSync(path, content);
  chmodSync(path, 0o644);
}

/** Lets apt inside reach what it reaches here: its proxies and certificates, and how names are resolved. */
export async function lendNetwork(root: string, signal: AbortSignal): Promise<void> {
  const settings = await runTool({ argv: ["apt-config", "dump", "Acquire"], timeoutMs: SHORT_MS, signal }).catch(() => null);
  signal.throwIfAborted();
  writeForAll(join(root, "etc/apt/apt.conf.d/00coldkeep-drill"), settings?.stdout ?? "");
  for (const path of ["etc/resolv.conf", "etc/hosts"]) if (existsSync(join("/", path))) writeForAll(join(root, path), readFileSync(join("/", path)));
}

/** Takes that back, and lets the machine know itself by its name. */
export function withdrawNetwork(root: string, hostName: string): void {
  rmSync(join(root, "etc/apt/apt.conf.d/00coldkeep-drill"), { force: true });
  writeForAll(join(root, "etc/resolv.conf"), "");
  writeForAll(join(root, "etc/hosts"), `127.0.0.1 localhost\n127.0.1.1 ${hostName}\n::1 localhost\n`);
}
