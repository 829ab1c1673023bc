import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

test("a full disk is full and keeps no part; with room it works again; a read-only one is denied and still read", () => {
  const root = mkdtempSync(join(tmpdir(), "coldkeep-small-"));
  try {
    // A mount namespace of its own ends with the process, so that nothing stays mounted.
    const asRoot = process.getuid?.() === 0 ? ["-m"] : ["-r", "-m"];
    const script = join(import.meta.dirname, "small-disk.ts");
    const out = execFileSync("unshare", [...asRoot, process.execPath, "-C", "dev", script, root], { encoding: "utf8" });
    expect(JSON.parse(out)).toEqual({ full: "full", left: [], withRoom: "created", readOnly: "denied", read: "body" });
  } finally {
    rmSync(root, { recursive: true });
  }
});
