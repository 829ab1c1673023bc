/** Files that say where packages come from: lists, keyrings, pins, and how apt reaches them. No password goes along. */
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";
import type { Ownership } from "./ownership.ts";

type AptFile = Profile["packages"]["aptFiles"][number];

const FILES = ["/etc/apt/sources.list", "/etc/apt/preferences", "/etc/apt/apt.conf", "/etc/apt/trusted.gpg"];
/** Never /etc/apt/auth.conf and auth.conf.d: they hold passwords and nothing else. */
const FOLDERS = ["/etc/apt/sources.list.d", "/etc/apt/preferences.d", "/etc/apt/apt.conf.d", "/etc/apt/keyrings", "/etc/apt/trusted.gpg.d"];
const SHARED_KEYRINGS = "/usr/share/keyrings";
const DISTRIBUTION_KEYRINGS = /^(?:debian-archive|ubuntu|ubuntu-archive|devuan|devuan-archive|raspbian-archive|raspberrypi-archive|kali-archive)-keyring$/;
const FILE_BYTES_MAX = 512 * 1024;
const FILES_MAX = 500;

/** Keyrings a list names: `[signed-by=/a,/b]` of one-line form, `Signed-By: /a` of deb822 (sources.list(5)). */
export function signedByPaths(text: string): string[] {
  const named = [...text.matchAll(/^[^#\n]*?\bsigned-by\s*[=:]\s*([^\]\n]+)/gim)];
  return named.flatMap(([, value = ""]) => value.split(/[\s,]+/)).filter((path) => path.startsWith("/"));
}

/** Text of a list or of apt.conf without user names and passwords in URLs, and without options that hold a secret. */
export function withoutSecrets(text: string): string {
  const urls = text.replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"']*@/gi, "$1");
  return urls.replaceAll(/^.*\b(?:password|passwd|token|secret|authorization)\b.*$/gim, "");
}

function isKeyring(path: string): boolean {
  return /\.(?:gpg|asc|pgp|key|kbx)$/.test(path);
}

/** Names that apt reads in each folder (sources.list(5), apt_preferences(5), apt.conf(5)). */
function isRead(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (path.includes("/sources.list.d/")) return /\.(?:list|sources)$/.test(name);
  if (path.includes("/preferences.d/")) return /^[\w-]+(?:\.pref)?$/.test(name);
  if (path.includes("/apt.conf.d/")) return /^[\w-]+(?:\.conf)?$/.test(name);
  return path.includes("/keyrings/") || path.includes("/trusted.gpg.d/") ? isKeyring(path) : true;
}

function readAptFile(look: Look, path: string): AptFile | null {
  const stat = look.stat(path);
  const bytes = stat === null || stat.isDirectory() ? null : look.bytes(path);
  if (stat === null || bytes === null) return null;
  if (bytes.length > FILE_BYTES_MAX) {
    look.gap(path, `is ${bytes.length} bytes long, more than a file of apt's`);
    return null;
  }
  const text = bytes.toString("latin1");
  const clean = isKeyring(path) ? text : withoutSecrets(text);
  if (clean !== text) look.gap(path, "holds a password, which was left out: put it into /etc/apt/auth.conf.d, and back there after a rebuild");
  return { path, mode: stat.isSymbolicLink() ? 0o644 : stat.mode & 0o7777, base64: Buffer.from(clean, "latin1").toString("base64") };
}

/** Whether a freshly installed machine has it too. */
function isBrought(path: string, owner: string | undefined): boolean {
  if (owner === undefined) return false;
  return isKeyring(path) ? DISTRIBUTION_KEYRINGS.test(owner) : path.includes("/apt.conf.d/");
}

/** By path. Of the keyrings, those that a freshly installed machine of the same distribution has are left out. */
export function readAptFiles(look: Look, ownership: Ownership): AptFile[] {
  const own = [...FILES, ...FOLDERS.flatMap((folder) => look.names(folder).map((name) => `${folder}/${name}`))].filter(isRead);
  const files = new Map<string, AptFile>();
  const add = (path: string): AptFile | null => {
    if (files.size >= FILES_MAX || files.has(path) || isBrought(path, ownership.of(path))) return null;
    const file = readAptFile(look, path);
    if (file !== null) files.set(path, file);
    return file;
  };
  const named = own.flatMap((path) => {
    const file = add(path);
    return file === null || isKeyring(path) ? [] : signedByPaths(Buffer.from(file.base64, "base64").toString());
  });
  const shared = look.names(SHARED_KEYRINGS).map((name) => `${SHARED_KEYRINGS}/${name}`);
  // One that came with a package of its own source is needed before that package can be fetched again.
  for (const path of named) add(path);
  for (const path of shared) if (ownership.of(path) === undefined) add(path);
  if (files.size >= FILES_MAX) look.gap("apt files", `only the first ${FILES_MAX} are kept`);
  return [...files.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
