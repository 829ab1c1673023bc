/** What an answer of `init` means, whether it was typed or given by a flag; and what is taken where there is none. */
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { ColdkeepError } from "../errors.ts";
import { REGION_NAME } from "../format/kit.ts";
import { isHostLabel } from "../format/object-key.ts";

export type NamedRegion = { name: string; url: string };

export const KIT_NAME = "coldkeep-kit.txt";

/** This machine's name as a label; it may not be one. */
export function defaultLabel(): string {
  return hostname().toLowerCase().replace(/[^a-z0-9.-]/g, "-").replace(/^[^a-z0-9]+/, "");
}

export function parseLabel(label: string): string {
  if (isHostLabel(label)) return label;
  throw new ColdkeepError("E_USAGE", `"${label}" cannot be a host label`, { hint: "Give --host with small letters, digits, dots and dashes." });
}

export function parseRegion(text: string): NamedRegion {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(0, equals));
  if (REGION_NAME.test(name)) return { name, url: text.slice(equals + 1) };
  throw new ColdkeepError("E_USAGE", `"${text}" is not a region`, { hint: "Write NAME=URL, like usb=file:///mnt/usb/vault; names have small letters, digits and dashes." });
}

/** Two directories beside the state: enough to try everything, and no protection against the loss of this machine. */
export function localRegions(stateDir: string): NamedRegion[] {
  const folder = join(dirname(stateDir), basename(stateDir) === "coldkeep" ? "coldkeep-regions" : "regions");
  return ["a", "b"].map((name) => ({ name, url: `file://${encodeURI(join(folder, name))}` }));
}
