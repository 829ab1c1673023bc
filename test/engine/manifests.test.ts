/** The manifest that was seen is the one that is read: a signer may have signed two under one id. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { signedObject } from "../../src/codec/signer.ts";
import { loadManifest } from "../../src/engine/manifests.ts";
import { closeRegions, openRegions, readerSpec, type Region } from "../../src/engine/region.ts";
import { encodeManifestHeader, type ManifestHeader } from "../../src/format/manifest.ts";
import { objectKey } from "../../src/format/object-key.ts";
import { HEADER, OBJECT_LIST, SIGNER } from "../format/stored-samples.ts";
import { tempDir } from "../support/temp-dir.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const TRUST = { vault: HEADER.vault, signers: [{ role: "host" as const, host: "web1", key: HEADER.signer }] };

function signed(change: Partial<ManifestHeader> = {}): { bytes: Buffer; sha256: string } {
  const line = encodeManifestHeader({ ...HEADER, objects: { ...HEADER.objects, sha256: sha256(OBJECT_LIST) }, ...change });
  return { bytes: signedObject(SIGNER.privateKey, "manifest", line, OBJECT_LIST), sha256: sha256(line) };
}

const SEEN = signed();
const OTHER = signed({ tool: "coldkeep 0.1.0 of a thief" });

/** Regions that are directories, each with a manifest of its own under the same key. */
async function regionsWith(manifests: Record<string, Buffer>): Promise<Region[]> {
  const root = tempDir();
  for (const [name, bytes] of Object.entries(manifests)) {
    const path = join(root, name, objectKey("web1", "archive", HEADER.id));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  const regions = await openRegions(Object.keys(manifests).map((name) => readerSpec(name, `file://${root}/${name}`)), () => undefined);
  onTestFinished(() => closeRegions(regions));
  return regions;
}

const seenIn = (...regions: string[]) => ({ header: HEADER, sha256: SEEN.sha256, signer: HEADER.signer, regions });

test("is loaded from the region that has it, although one that is asked before has another with a right signature", async () => {
  const regions = await regionsWith({ a: OTHER.bytes, b: SEEN.bytes });
  expect(await loadManifest(regions, seenIn("a", "b"), TRUST)).toMatchObject({ sha256: SEEN.sha256, header: { tool: HEADER.tool } });
});

test("is not replaced by another with a right signature, where no region has it any more", async () => {
  const regions = await regionsWith({ a: OTHER.bytes });
  await expect(loadManifest(regions, seenIn("a"), TRUST)).rejects.toThrow(expect.objectContaining({ code: "E_OBJECT", message: expect.stringContaining("another one than was seen before") }));
});

test("is read anew where the bytes that came along with the listing are of another", async () => {
  const regions = await regionsWith({ a: SEEN.bytes });
  expect(await loadManifest(regions, { ...seenIn("a"), bytes: OTHER.bytes }, TRUST)).toMatchObject({ sha256: SEEN.sha256 });
});
