/** `coldkeep.json`: says which vault a region belongs to; unsigned, decides nothing (format §3). */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { FORMAT_VERSION, requireFormat } from "./format-version.ts";

export const VAULT_ID = /^[0-9a-f]{32}$/;
/** More bytes than any marker has. */
export const MARKER_BYTES_MAX = 4096;

const Marker = z.object({ type: z.literal("vault"), format: z.number().int(), vault: z.string().regex(VAULT_ID), createdAt: z.string() });

export function encodeVaultMarker(vault: string, createdAt: string): Buffer {
  return Buffer.from(`${JSON.stringify({ type: "vault", format: FORMAT_VERSION, vault, createdAt })}\n`);
}

/** The vault id of a marker. Throws E_FORMAT for anything else, naming a newer format. */
export function parseVaultMarker(bytes: Buffer, where: string): string {
  const marker = Marker.safeParse(parseJson(bytes, `the vault marker in ${where}`));
  if (!marker.success) throw new ColdkeepError("E_FORMAT", `the vault marker in ${where} is not one`);
  requireFormat(marker.data.format, `the vault in ${where}`);
  return marker.data.vault;
}

/** JSON.parse with an error that names what was read. Throws E_FORMAT. */
export function parseJson(bytes: Buffer | string, what: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (cause) {
    throw new ColdkeepError("E_FORMAT", `${what} is not JSON`, { cause });
  }
}
