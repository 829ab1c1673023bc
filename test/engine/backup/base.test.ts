import { expect, test } from "vitest";
import { collectKnown, knownObjects, reusableObjects } from "../../../src/engine/backup/base.ts";
import { EarlyListings } from "../../../src/engine/early-listings.ts";
import { loadManifest } from "../../../src/engine/manifests.ts";
import type { ListedObject } from "../../../src/format/manifest.ts";
import { RunState } from "../../../src/state/run-state.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { DAY, HOUR, PruneVault, START } from "../prune/prune-vault.ts";

test("of what is stored, a backup names again what lives or is new, and for weeks what a run left that was cut off", async () => {
  const vault = new PruneVault();
  const state = new RunState(tempDir());
  const note = (object: ListedObject, archive?: string): ListedObject => {
    state.noteObjects([{ ...object, recipients: [], ...(archive !== undefined && { archive }) }]);
    return object;
  };
  const objects: Record<string, ListedObject> = {};
  const oldArchive = vault.archive({ objects: [(objects["of an expired archive"] = vault.object("volume")), (objects["of an expired archive, a day old"] = vault.object("volume"))] });
  objects["left behind, 28 days old"] = note(vault.object("volume"));
  vault.at(START + DAY);
  const older = vault.archive({ objects: [(objects["of an older archive that lives"] = vault.object("volume"))] });
  vault.at(START + 3 * DAY);
  objects["left behind, 25 days old"] = note(vault.object("volume"));
  vault.at(START + 28 * DAY - HOUR);
  objects["of an expired archive, an hour old"] = note(vault.object("volume"), oldArchive.id);
  const newest = vault.archive({ objects: [(objects["of the newest"] = vault.object("volume"))] });
  for (const made of [oldArchive, older]) for (const object of made.objects) note(object, made.id);
  vault.at(START + 28 * DAY + 1000);
  await vault.prune({ daily: 2 });

  using open = await vault.open("web1");
  const signal = new AbortController().signal;
  const reusable = async (): Promise<string[]> => {
    const survey = await open.survey("web1");
    const [latest] = survey.archives;
    const base = latest === undefined ? null : await loadManifest(open.reachable, latest, open.trust);
    const known = await collectKnown(state, survey.archives, base, open.reachable, "web1", open.trust);
    const { volumes } = await reusableObjects(known, open.reachable, { copies: 2, volumeRecipients: [], catalogRecipients: [] }, new EarlyListings(open.reachable, "web1", signal), [], signal);
    return Object.keys(objects).filter((name) => volumes.includes(objects[name]?.id ?? ""));
  };
  state.noteLatest({ id: newest.id, sha256: newest.sha256, sequence: newest.header.sequence });
  expect(await reusable()).toEqual(["of an older archive that lives", "left behind, 25 days old", "of an expired archive, an hour old", "of the newest"]);
  // A state that has not seen every archive cannot tell what was never listed.
  state.noteLatest({ id: older.id, sha256: older.sha256, sequence: older.header.sequence });
  expect(await reusable()).toEqual(["of an older archive that lives", "of an expired archive, an hour old", "of the newest"]);
  expect(knownObjects(await loadManifest(open.reachable, (await open.survey("web1")).archives[0] ?? expect.fail(), open.trust))[0]).toMatchObject({ archive: newest.id });
  state.close();
});
