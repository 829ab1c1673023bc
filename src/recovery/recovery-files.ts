/** The two texts that every region carries for a person without this program, read from beside this module. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export type RecoveryFile = { key: "recover.sh" | "RECOVERY.md"; bytes: Buffer; sha256: string };

/** Written out, because the build of the single file puts in the texts where it finds them read like this. */
const READERS = {
  "recover.sh": () => readFileSync(new URL("./recover.sh", import.meta.url)),
  "RECOVERY.md": () => readFileSync(new URL("./RECOVERY.md", import.meta.url)),
} as const;

/**
 * The texts to put into a region, with their lower-case hex SHA-256; the key is relative to the region's prefix.
 * Throws the system's error when the build lacks them.
 */
export function readRecoveryFiles(): RecoveryFile[] {
  return (["recover.sh", "RECOVERY.md"] as const).map((key) => {
    const bytes = READERS[key]();
    return { key, bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
  });
}
