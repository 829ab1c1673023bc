/** Where a region lies, as people write it: `file:///mnt/usb/vault` or `s3://bucket/prefix?endpoint=…`. */
import { ColdkeepError } from "../errors.ts";
import { didYouMean } from "../policy/closest.ts";

/** A directory on a mounted disk. */
export type DirectoryUrl = {
  kind: "directory";
  /** Absolute, without a final slash. */
  path: string;
};

/** A bucket and a prefix in it. */
export type S3Url = {
  kind: "s3";
  bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  prefix: string;
  /** `http://…` or `https://…`, without a path. Absent: the provider's own address for `awsRegion`. */
  endpoint?: string;
  /** The provider's name for the place, which requests are signed for. */
  awsRegion?: string;
  /** The bucket stands in the path of a request, not in its host name. */
  pathStyle: boolean;
  /** Absolute path of a PEM file with the only authorities to trust. */
  ca?: string;
  /** `http://host:port` of a proxy; it wins over the environment's. */
  proxy?: string;
  /** For volumes alone: everything else is read often and is small. */
  storageClass?: string;
  /** Section of the credentials file, or profile of the SDK. */
  profile?: string;
  /** Absolute path of an INI file as other S3 tools use it. */
  credentialsFile?: string;
};

export type RegionUrl = DirectoryUrl | S3Url;

const PARAMETERS = [
  "endpoint",
  "aws-region",
  "path-style",
  "ca",
  "proxy",
  "storage-class",
  "profile",
  "credentials-file",
] as const;

type Parameter = (typeof PARAMETERS)[number];

const FORMS = "Write file:///absolute/path or s3://bucket/prefix?endpoint=https://host:port&aws-region=name.";
const CREDENTIALS_HINT =
  "Put them into COLDKEEP_<REGION>_ACCESS_KEY_ID and COLDKEEP_<REGION>_SECRET_ACCESS_KEY, or name a file with credentials-file=/path.";

/** Parses a region's URL. Throws E_URL, whose message never repeats a password. */
export function parseRegionUrl(text: string): RegionUrl {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    const hint = text.startsWith("/") ? `Write file://${text} for a directory.` : FORMS;
    throw new ColdkeepError("E_URL", `"${shown(text)}" is not a region's URL`, { hint });
  }
  if (scheme === "file") return parseDirectory(text);
  if (scheme === "s3") return parseS3(text);
  throw new ColdkeepError("E_URL", `"${scheme}://" is not a kind of region`, { hint: `${FORMS}${didYouMean(scheme, ["file", "s3"])}` });
}

/** The text of a region's URL; `parseRegionUrl` gives the same value back. */
export function formatRegionUrl(url: RegionUrl): string {
  if (url.kind === "directory") return `file://${encodePath(url.path)}`;
  const query: string[] = [];
  const add = (name: Parameter, value: string | undefined): void => {
    if (value !== undefined) query.push(`${name}=${encodeURIComponent(value).replaceAll("%3A", ":").replaceAll("%2F", "/")}`);
  };
  add("endpoint", url.endpoint);
  add("aws-region", url.awsRegion);
  if (url.pathStyle !== (url.endpoint !== undefined)) add("path-style", String(url.pathStyle));
  add("ca", url.ca);
  add("proxy", url.proxy);
  add("storage-class", url.storageClass);
  add("profile", url.profile);
  add("credentials-file", url.credentialsFile);
  const prefix = url.prefix === "" ? "" : `/${encodePath(url.prefix)}`;
  return `s3://${url.bucket}${prefix}${query.length === 0 ? "" : `?${query.join("&")}`}`;
}

/** A region's URL for messages: the place alone, without files and proxies of this machine. */
export function formatLocation(url: RegionUrl): string {
  if (url.kind === "directory") return formatRegionUrl(url);
  const { kind, bucket, prefix, endpoint } = url;
  return formatRegionUrl({ kind, bucket, prefix, pathStyle: endpoint !== undefined, ...(endpoint !== undefined && { endpoint }) });
}

function parseDirectory(text: string): DirectoryUrl {
  const rest = text.slice("file://".length);
  const query = rest.indexOf("?");
  if (query >= 0 || rest.includes("#")) {
    throw new ColdkeepError("E_URL", `"${shown(text)}" has a query, which a directory cannot have`, {
      hint: "Write ? as %3F and # as %23 where they belong to the path.",
    });
  }
  if (!rest.startsWith("/")) {
    const hint = `Write three slashes and an absolute path, as in file:///mnt/usb/vault.`;
    throw new ColdkeepError("E_URL", `"${shown(text)}" is not an absolute path`, { hint });
  }
  const path = decode(rest, text).replace(/\/+$/, "");
  const parts = path.split("/").slice(1);
  if (path === "" || path.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new ColdkeepError("E_URL", `"${shown(text)}" is not the plain path of a directory below /`, {
      hint: "Write the path without empty parts, . and .. in it.",
    });
  }
  return { kind: "directory", path };
}

function parseS3(text: string): S3Url {
  const match = /^s3:\/\/([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/i.exec(text);
  if (!match) throw new ColdkeepError("E_URL", `"${shown(text)}" is not an S3 URL`, { hint: FORMS });
  const bucket = match[1] ?? "";
  if (bucket.includes("@")) throw new ColdkeepError("E_URL", `"${shown(text)}" holds credentials`, { hint: CREDENTIALS_HINT });
  checkBucket(bucket, text);
  const prefix = decode(match[2] ?? "", text).replace(/^\/+|\/+$/g, "");
  if (prefix !== "" && !isPlainPrefix(prefix)) {
    throw new ColdkeepError("E_URL", `the prefix "${prefix}" has parts that are empty, . or .., or control characters`, {
      hint: "Write the prefix as plain names with single slashes between them.",
    });
  }
  const given = parseQuery(match[3] ?? "", text);
  const endpoint = optional(given, "endpoint", (value) => parseOrigin(value, "endpoint"));
  const pathStyle = given.get("path-style");
  return {
    kind: "s3",
    bucket,
    prefix,
    ...endpoint,
    ...named("awsRegion", given.get("aws-region"), (value) => parseWord(value, "aws-region")),
    pathStyle: pathStyle === undefined ? endpoint.endpoint !== undefined : parseBoolean(pathStyle),
    ...optional(given, "ca", (value) => parseAbsolute(value, "ca")),
    ...optional(given, "proxy", (value) => parseOrigin(value, "proxy")),
    ...named("storageClass", given.get("storage-class"), (value) => parseWord(value, "storage-class")),
    ...optional(given, "profile", (value) => value),
    ...named("credentialsFile", given.get("credentials-file"), (value) => parseAbsolute(value, "credentials-file")),
  };
}

function named<Name extends string>(
  name: Name,
  value: string | undefined,
  parse: (value: string) => string,
): { [key in Name]?: string } {
  const found: { [key in Name]?: string } = {};
  if (value !== undefined) Object.assign(found, { [name]: parse(value) });
  return found;
}

function optional<Name extends Parameter>(
  given: Map<Parameter, string>,
  name: Name,
  parse: (value: string) => string,
): { [key in Name]?: string } {
  return named(name, given.get(name), parse);
}

function parseQuery(query: string, text: string): Map<Parameter, string> {
  const given = new Map<Parameter, string>();
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const at = pair.indexOf("=");
    const name = decode(at < 0 ? pair : pair.slice(0, at), text);
    const known = PARAMETERS.find((parameter) => parameter === name);
    if (known === undefined) {
      const hint = `Known are ${PARAMETERS.join(", ")}.${didYouMean(name, PARAMETERS)}`;
      throw new ColdkeepError("E_URL", `"${name}" is not a parameter of an S3 URL`, { hint });
    }
    const value = at < 0 ? "" : decode(pair.slice(at + 1), text);
    if (value === "") throw new ColdkeepError("E_URL", `the parameter ${known} has no value`, { hint: `Write ${known}=value or leave it out.` });
    if (given.has(known)) throw new ColdkeepError("E_URL", `the parameter ${known} is given twice`, { hint: "Keep one of the two." });
    given.set(known, value);
  }
  return given;
}

/** The rules of S3 for new buckets, and the underscore and capitals that some stores allow. */
function checkBucket(bucket: string, text: string): void {
  const good = /^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/i.test(bucket) && !bucket.includes("..") && !/^\d+\.\d+\.\d+\.\d+$/.test(bucket);
  if (good) return;
  const message = bucket === "" ? `"${shown(text)}" names no bucket` : `"${bucket}" is not the name of a bucket`;
  const hint = bucket.includes(":")
    ? "Put the address of the store into endpoint=http://host:port and the bucket behind s3://."
    : "A bucket's name has 3 to 63 letters, digits, dots and hyphens, and starts and ends with a letter or digit.";
  throw new ColdkeepError("E_URL", message, { hint });
}

function isPlainPrefix(prefix: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return prefix.length <= 512 && !/[\0-\x1f\x7f]/.test(prefix) && prefix.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function parseOrigin(value: string, name: Parameter): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url !== undefined && (url.username !== "" || url.password !== "")) {
    const hint = name === "proxy" ? "Use a proxy that asks for none, or set HTTPS_PROXY in the environment." : CREDENTIALS_HINT;
    throw new ColdkeepError("E_URL", `the ${name} holds credentials`, { hint });
  }
  const plain = url !== undefined && (url.protocol === "http:" || url.protocol === "https:") && url.hostname !== "";
  if (!plain || (url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.hash !== "") {
    throw new ColdkeepError("E_URL", `"${shown(value)}" is not an address for ${name}`, { hint: `Write ${name}=https://host:port without a path.` });
  }
  return url.origin;
}

function parseAbsolute(value: string, name: Parameter): string {
  if (value.startsWith("/") && !value.includes("\0")) return value;
  throw new ColdkeepError("E_URL", `${name}=${value} is not an absolute path`, { hint: `Write ${name}=/path/of/the/file.` });
}

/** What travels in a header: anything else could split it. */
function parseWord(value: string, name: Parameter): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(value)) return value;
  throw new ColdkeepError("E_URL", `"${value}" is not a value for ${name}`, { hint: "Use letters, digits, hyphens and underscores." });
}

function parseBoolean(value: string): boolean {
  if (value === "true" || value === "false") return value === "true";
  throw new ColdkeepError("E_URL", `path-style is true or false, not "${value}"`, { hint: `Write path-style=true.${didYouMean(value, ["true", "false"])}` });
}

function decode(text: string, whole: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new ColdkeepError("E_URL", `"${shown(whole)}" has a broken % escape`, { hint: "Write a plain % as %25.", cause });
  }
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** A mistyped URL for messages, without what may be a password. */
function shown(text: string): string {
  return text.replace(/\/\/[^/?#]*@/g, "//…@");
}
