/** Where the keys of an S3 region come from. Secrets come from the environment or a file, never from a URL or a flag. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { didYouMean } from "../policy/closest.ts";
import type { S3Url } from "./region-url.ts";

export type S3Keys = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };

/** Keys found here; or a profile or the whole default chain, which the SDK resolves (and renews) itself. */
export type S3Credentials = { kind: "keys"; keys: S3Keys } | { kind: "profile"; profile: string } | { kind: "chain" };

/** A credentials file holds a few lines; more is some other file. */
const FILE_BYTES_MAX = 256 * 1024;

/** The environment variables for a region, `COLDKEEP_EU_CENTRAL_ACCESS_KEY_ID` and so on for `eu-central`. */
export function credentialVariables(regionName: string): { accessKeyId: string; secretAccessKey: string; sessionToken: string } {
  const name = `COLDKEEP_${regionName.toUpperCase().replace(/[-.]/g, "_")}`;
  return { accessKeyId: `${name}_ACCESS_KEY_ID`, secretAccessKey: `${name}_SECRET_ACCESS_KEY`, sessionToken: `${name}_SESSION_TOKEN` };
}

/**
 * The credentials of a region: its environment variables, else the URL's credentials file, else the URL's profile, else
 * the SDK's default chain. Throws E_CREDENTIALS for half a pair, a file others may read, and a file without the keys.
 */
export async function resolveCredentials(
  regionName: string,
  url: S3Url,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<S3Credentials> {
  const names = credentialVariables(regionName);
  const accessKeyId = environment[names.accessKeyId];
  const secretAccessKey = environment[names.secretAccessKey];
  if (accessKeyId || secretAccessKey) {
    if (!accessKeyId || !secretAccessKey) {
      const missing = accessKeyId ? names.secretAccessKey : names.accessKeyId;
      throw new ColdkeepError("E_CREDENTIALS", `region "${regionName}": ${missing} is not set, but the other half of the pair is`, {
        hint: `Set both ${names.accessKeyId} and ${names.secretAccessKey}, or neither.`,
      });
    }
    const sessionToken = environment[names.sessionToken];
    return { kind: "keys", keys: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) } };
  }
  if (url.credentialsFile !== undefined) {
    return { kind: "keys", keys: await readCredentialsFile(url.credentialsFile, url.profile ?? "default") };
  }
  return url.profile === undefined ? { kind: "chain" } : { kind: "profile", profile: url.profile };
}

/**
 * Reads one section of an INI file with `aws_access_key_id`, `aws_secret_access_key` and optional `aws_session_token`
 * (the form of `~/.aws/credentials`). Throws E_CREDENTIALS, also for a link, a file of another user, and one that group
 * or others may read. What is checked is the opened file, so it cannot be swapped in between.
 */
export async function readCredentialsFile(path: string, section: string): Promise<S3Keys> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const reason = systemCode(cause) === "ELOOP" ? "it is a symbolic link" : messageOf(cause);
    const hint = "Name the file itself, by its absolute path, in credentials-file=.";
    throw new ColdkeepError("E_CREDENTIALS", `the credentials file ${path} cannot be used: ${reason}`, { hint, cause });
  }
  try {
    await checkPrivate(handle, path);
    const bytes = Buffer.alloc(FILE_BYTES_MAX);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return keysOf(bytes.toString("utf8", 0, bytesRead), path, section);
  } finally {
    await handle.close();
  }
}

async function checkPrivate(handle: FileHandle, path: string): Promise<void> {
  const status = await handle.stat();
  const refuse = (reason: string, hint: string): never => {
    throw new ColdkeepError("E_CREDENTIALS", `the credentials file ${path} ${reason}`, { hint });
  };
  if (!status.isFile() || status.size > FILE_BYTES_MAX) refuse("is not a small regular file", "Name a file in INI form in credentials-file=.");
  const self = process.geteuid?.() ?? status.uid;
  if (status.uid !== self && status.uid !== 0) {
    refuse(`belongs to user ${status.uid}, who could change it`, `Run 'chown ${self} ${path}' after looking at what it holds.`);
  }
  if ((status.mode & 0o077) !== 0) refuse("may be read or written by others", `Run 'chmod 600 ${path}'.`);
}

function keysOf(text: string, path: string, section: string): S3Keys {
  const sections = parseIni(text);
  const values = sections.get(section);
  if (values === undefined) {
    const hint = `Add a line [${section}] with the keys below it.${didYouMean(section, sections.keys())}`;
    throw new ColdkeepError("E_CREDENTIALS", `the credentials file ${path} has no section [${section}]`, { hint });
  }
  const accessKeyId = values.get("aws_access_key_id");
  const secretAccessKey = values.get("aws_secret_access_key");
  if (!accessKeyId || !secretAccessKey) {
    const missing = accessKeyId ? "aws_secret_access_key" : "aws_access_key_id";
    throw new ColdkeepError("E_CREDENTIALS", `the credentials file ${path} has no ${missing} in [${section}]`, {
      hint: `Add a line '${missing} = …'.`,
    });
  }
  const sessionToken = values.get("aws_session_token");
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}

function parseIni(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  // Keys above the first section belong to the default one, as in a file of two lines.
  let current = "default";
  for (const line of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    const header = /^\s*\[\s*(?:profile\s+)?([^\]]+?)\s*\]/.exec(line)?.[1];
    if (header !== undefined) current = header;
    const pair = header === undefined ? /^\s*([A-Za-z_]+)\s*=\s*(.*?)\s*$/.exec(line) : null;
    const values = sections.get(current) ?? new Map<string, string>();
    if (pair?.[1] !== undefined) values.set(pair[1].toLowerCase(), pair[2] ?? "");
    if (header !== undefined || pair !== null) sections.set(current, values);
  }
  return sections;
}
