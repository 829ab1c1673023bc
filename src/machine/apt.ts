/** Packages by apt and dpkg: what is here, what can be had from the archived sources too, and installing it without starting services. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ColdkeepError } from "../errors.ts";
import type { Profile } from "../format/profile.ts";
import type { PackagePlan, PackagesHere } from "../policy/package-plan.ts";
import { lastLines, runTool, runToolWell, type ToolResult } from "./run-tool.ts";

type AptFile = Profile["packages"]["aptFiles"][number];

const UPDATE_MS = 300_000;
const INSTALL_MS = 3 * 3_600_000;
const SHORT_MS = 120_000;
const QUIET = { DEBIAN_FRONTEND: "noninteractive", APT_LISTCHANGES_FRONTEND: "none", NEEDRESTART_MODE: "l" };
/** Where archived files may go: nothing else is written in the name of package sources. */
const ALLOWED = /^\/(?:etc\/apt\/(?:sources\.list|sources\.list\.d\/[\w.+-]+|preferences|preferences\.d\/[\w.+-]+|trusted\.gpg|trusted\.gpg\.d\/[\w.+-]+|keyrings\/[\w.+-]+)|usr\/(?:local\/)?share\/keyrings\/[\w.+-]+)$/;
const POLICY = "/usr/sbin/policy-rc.d";
const POLICY_ASIDE = `${POLICY}.coldkeep-aside`;

/** Whether this machine has what this module works with. */
export function hasApt(): boolean {
  return existsSync("/usr/bin/apt-get") && existsSync("/usr/bin/dpkg-query");
}

/** Archived source files that this machine does not have. One it has under the same name stays: its own mirrors answer here. */
export function missingAptFiles(archived: readonly AptFile[], root = "/"): AptFile[] {
  return archived.filter(({ path }) => ALLOWED.test(path) && !existsSync(join(root, path)));
}

/** Readable for apt's own user, whatever this process hides by default. */
export function writeAptFile(path: string, { base64 }: AptFile): void {
  const folder = dirname(path);
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o755);
  }
  writeFileSync(path, Buffer.from(base64, "base64"));
  chmodSync(path, 0o644);
}

/** A folder in which apt sees this machine's sources and the archived ones, while the machine stays as it is. */
export class TrialSources {
  readonly #folder: string;

  constructor(archived: readonly AptFile[]) {
    this.#folder = mkdtempSync(join(tmpdir(), "coldkeep-apt-"));
    chmodSync(this.#folder, 0o755);
    for (const each of ["sources.list.d", "preferences.d", "trusted.gpg.d", "keyrings", "lists/partial", "cache/archives/partial"]) mkdirSync(join(this.#folder, each), { recursive: true });
    for (const path of aptFilesHere()) this.#place(path, readFileSync(path));
    const added = missingAptFiles(archived);
    for (const file of added) this.#place(file.path, Buffer.from(file.base64, "base64"));
    this.#pointToKeyrings(added);
  }

  #placeOf(path: string): string {
    const folder = /\/(sources\.list\.d|preferences\.d|trusted\.gpg\.d|keyrings)\/[^/]+$/.exec(path)?.[1];
    return join(this.#folder, folder ?? "", basename(path));
  }

  #place(path: string, bytes: Buffer): void {
    writeFileSync(this.#placeOf(path), bytes, { mode: 0o644 });
  }

  /** Sources name keyrings by path; those that are not on this machine yet lie in the folder. */
  #pointToKeyrings(added: readonly AptFile[]): void {
    const keyrings = added.filter(({ path }) => path.includes("/keyrings/"));
    for (const name of ["sources.list", ...readdirSync(join(this.#folder, "sources.list.d")).map((each) => join("sources.list.d", each))]) {
      const place = join(this.#folder, name);
      if (!existsSync(place)) continue;
      const text = keyrings.reduce((all, { path }) => all.replaceAll(path, this.#placeOf(path)), readFileSync(place, "utf8"));
      writeFileSync(place, text);
    }
  }

  get #options(): string[] {
    const at = (name: string): string => join(this.#folder, name);
    const options = {
      "Dir::Etc::SourceList": at("sources.list"),
      "Dir::Etc::SourceParts": at("sources.list.d"),
      "Dir::Etc::Preferences": at("preferences"),
      "Dir::Etc::PreferencesParts": at("preferences.d"),
      "Dir::Etc::Trusted": at("trusted.gpg"),
      "Dir::Etc::TrustedParts": at("trusted.gpg.d"),
      "Dir::State::Lists": at("lists"),
      "Dir::Cache": at("cache"),
      // Its own user cannot reach the folder.
      "APT::Sandbox::User": "root",
    };
    return Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  }

  /** Fetches the lists of packages. Returns what went wrong with single sources. Throws E_DISK. */
  async update(signal: AbortSignal): Promise<string[]> {
    const result = await runTool({ argv: ["apt-get", ...this.#options, "update"], env: QUIET, timeoutMs: UPDATE_MS, signal });
    return complaints(result).filter((line) => !HARMLESS.test(line));
  }

  /** Versions that can be had of each package, apt's choice first. */
  async versions(names: readonly string[], signal: AbortSignal): Promise<Map<string, string[]>> {
    const found = new Map<string, string[]>();
    if (names.length === 0) return found;
    const { stdout } = await runTool({ argv: ["apt-cache", ...this.#options, "madison", ...names], env: QUIET, timeoutMs: SHORT_MS, signal });
    for (const line of stdout.split("\n")) {
      const [name, version, where = ""] = line.split("|").map((each) => each.trim());
      if (name === undefined || version === undefined || where.endsWith("Sources")) continue;
      found.set(name, [...(found.get(name) ?? []), version]);
    }
    return found;
  }

  /** Lets apt work out the installation without doing it. Null when it would work, else what apt said. */
  async simulate(plan: PackagePlan, signal: AbortSignal): Promise<string[] | null> {
    const result = await runTool({ argv: ["apt-get", ...this.#options, ...INSTALL_FLAGS, "--simulate", "install", "--", ...specs(plan)], env: QUIET, timeoutMs: SHORT_MS, signal });
    return result.status === 0 ? null : complaints(result);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const INSTALL_FLAGS = ["--yes", "--no-install-recommends", "--allow-downgrades", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0"];

/** Said of sources that are named twice, which the archived ones beside this machine's own often are. */
const HARMLESS = /^W: (?:Target .* is configured multiple times|Download is performed unsandboxed)/;

function specs({ install }: PackagePlan): string[] {
  return install.map(({ name, version }) => (version === null ? name : `${name}=${version}`));
}

function complaints(result: ToolResult): string[] {
  const lines = `${result.stdout}\n${result.stderr}`.split("\n").filter((line) => /^(?:E|W|Err):?/.test(line.trim()));
  return lines.length > 0 ? lines.slice(-20) : result.status === 0 ? [] : lastLines(result);
}

function aptFilesHere(): string[] {
  const below = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder, { withFileTypes: true }).filter((each) => !each.isDirectory()).map(({ name }) => join(folder, name)) : []);
  const single = ["/etc/apt/sources.list", "/etc/apt/preferences", "/etc/apt/trusted.gpg"].filter((path) => existsSync(path));
  return [...single, ...["/etc/apt/sources.list.d", "/etc/apt/preferences.d", "/etc/apt/trusted.gpg.d"].flatMap(below)];
}

/** Names and versions of what is installed. Throws E_DISK. */
export async function installedHere(signal: AbortSignal): Promise<Pick<PackagesHere, "arch" | "installed">> {
  const arch = (await runToolWell({ argv: ["dpkg", "--print-architecture"], timeoutMs: SHORT_MS, signal })).trim();
  const text = await runToolWell({ argv: ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n"], timeoutMs: SHORT_MS, signal });
  const rows = text.split("\n").map((line) => line.split("\t")).filter(([status]) => status?.startsWith("ii") === true);
  return { arch, installed: new Map(rows.map(([, name = "", its = "", version = ""]) => [its === "all" || its === arch ? name : `${name}:${its}`, version])) };
}

/** Holds back services that packages would start while they are installed (invoke-rc.d's policy-rc.d(8)); `release` gives back what was there. */
export function holdServices(): void {
  if (existsSync(POLICY_ASIDE)) return;
  if (existsSync(POLICY)) renameSync(POLICY, POLICY_ASIDE);
  else writeFileSync(POLICY_ASIDE, "", { mode: 0o600 });
  writeFileSync(POLICY, "#!/bin/sh\n# coldkeep rebuilds this machine: services start when their data is there.\nexit 101\n", { mode: 0o755 });
}

export function releaseServices(): void {
  if (!existsSync(POLICY_ASIDE)) return;
  if (readFileSync(POLICY_ASIDE).length === 0) {
    rmSync(POLICY, { force: true });
    rmSync(POLICY_ASIDE, { force: true });
  } else renameSync(POLICY_ASIDE, POLICY);
}

/** Where packages come from: the archived sources beside this machine's own, or a folder of .deb files where there is no network. */
export type PackageOrigin = { kind: "sources"; aptFiles: readonly AptFile[] } | { kind: "folder"; path: string };

async function must(argv: readonly [string, ...string[]], timeoutMs: number, signal: AbortSignal, before: readonly string[] = []): Promise<ToolResult> {
  const result = await runTool({ argv, env: QUIET, timeoutMs, signal });
  if (result.status === 0 && !result.timedOut) return result;
  throw new ColdkeepError("E_DISK", `${argv.slice(0, 6).join(" ")}${argv.length > 6 ? " …" : ""} failed with exit status ${result.status ?? "none"}:\n${[...before, ...lastLines(result).filter((line) => !HARMLESS.test(line))].join("\n")}`);
}

/** The .deb files of a folder: label → path. Throws E_DISK. */
export async function packagesInFolder(folder: string, arch: string, signal: AbortSignal): Promise<Map<string, { path: string; version: string }>> {
  const found = new Map<string, { path: string; version: string }>();
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".deb"))) {
    const path = join(folder, name);
    const fields = await runToolWell({ argv: ["dpkg-deb", "--show", "--showformat=${Package}\t${Architecture}\t${Version}", path], timeoutMs: SHORT_MS, signal });
    const [label = "", its = "", version = ""] = fields.split("\t");
    found.set(its === "all" || its === arch ? label : `${label}:${its}`, { path, version });
  }
  return found;
}

/**
 * Installs what is planned, with services held back. What an earlier try left half done is finished first. Throws E_DISK with the last
 * lines of what failed.
 */
export async function installPackages(plan: PackagePlan, origin: PackageOrigin, signal: AbortSignal): Promise<void> {
  holdServices();
  for (const architecture of plan.architectures) await must(["dpkg", "--add-architecture", architecture], SHORT_MS, signal);
  await must(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"], INSTALL_MS, signal);
  let faults: string[] = [];
  if (origin.kind === "sources") {
    for (const file of missingAptFiles(origin.aptFiles)) writeAptFile(file.path, file);
    const update = await runTool({ argv: ["apt-get", "update"], env: QUIET, timeoutMs: UPDATE_MS, signal });
    faults = complaints(update).filter((line) => !HARMLESS.test(line));
  }
  if (plan.install.length > 0) {
    const wanted = origin.kind === "sources" ? specs(plan) : await filesFor(plan, origin.path, signal);
    await must(["apt-get", ...INSTALL_FLAGS, "install", "--", ...wanted], INSTALL_MS, signal, faults);
  }
  const drawnIn = plan.install.filter(({ manual }) => !manual).map(({ name }) => name);
  if (drawnIn.length > 0) await must(["apt-mark", "auto", ...drawnIn], SHORT_MS, signal);
  if (plan.holds.length > 0) await must(["apt-mark", "hold", ...plan.holds], SHORT_MS, signal);
}

/** What is to be installed, and what is here in another version than it had: packages ask for others in exactly their own version. */
async function filesFor({ install, differing }: PackagePlan, folder: string, signal: AbortSignal): Promise<string[]> {
  const { arch } = await installedHere(signal);
  const files = await packagesInFolder(folder, arch, signal);
  const exact = differing.filter(({ name, was }) => files.get(name)?.version === was);
  return [...new Set([...install, ...exact].flatMap(({ name }) => files.get(name)?.path ?? []))];
}
