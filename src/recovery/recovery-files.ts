/** The two texts that every region carries for a person without this program, read from beside this module. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export type RecoveryFile = { key: "recover.sh" | "RECOVERY.md"; bytes: Buffer; sha256: string };

const KEYS = ["recover.sh", "RECOVERY.md"] as const;

/**
 * The texts to put into a region, with their lower-case hex SHA-256; the key is relative to the region's prefix.
 * Throws the system's error when the build lacks them.
 */
export function readRecoveryFiles(): RecoveryFile[] {
  return KEYS.map((key) => {
    const bytes = readFileSync(new URL(key, import.meta.url));
    return { key, bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
  });
}
