/**
 * A new identity in the place of one: first the new kit, which opens the old archives too, then the configuration, in one
 * stroke. Killed in between, nothing has changed for the host, and the same call again completes it.
 */
import { existsSync } from "node:fs";
import { newIdentity, parseRecipients, recipientKind } from "../codec/age-keys.ts";
import { replaceRecipient } from "../config/edit.ts";
import { hostKeysDir } from "../config/keys.ts";
import { requireKit } from "../config/kit-file.ts";
import type { LoadedConfig } from "../config/load.ts";
import { ColdkeepError } from "../errors.ts";
import { formatKit, type Kit } from "../format/kit.ts";
import { replacedRecipient } from "../policy/rotation.ts";
import { writeConfig } from "./config-edit.ts";
import { noteKitPath } from "./kit-note.ts";
import { kitRecipients, sealKit } from "./kit-open.ts";
import { writePage } from "./new-page.ts";

export type RotateOrder = {
  /** The host's configuration; null where this machine has none, and only the kit is made. */
  loaded: LoadedConfig | null;
  /** The kit as it is now, opened. */
  kit: Kit;
  /** Absolute path of the new kit. */
  newKitPath: string;
  /** The recipient to replace, where it is not clear which. */
  replaces: string | undefined;
  /** What seals the new kit; null: nothing. */
  passphrase: string | null;
  now: Date;
};

export type Rotation = { recipient: string; replaced: string; /** Whether the configuration says so now. */ configured: boolean; /** Whether an earlier call had made the kit. */ resumed: boolean };

/** Throws E_REFUSED, E_USAGE, E_KIT, E_CONFIG, E_DISK. */
export async function rotateKey(order: RotateOrder): Promise<Rotation> {
  const { loaded, kit, newKitPath } = order;
  if (loaded !== null && loaded.config.vault !== kit.vault) throw new ColdkeepError("E_REFUSED", "the kit is of another vault than the configuration", { hint: "Use the kit of this host's vault." });
  const held = await kitRecipients(kit);
  const earlier = existsSync(newKitPath) ? await earlierRecipient(newKitPath, kit, held) : null;
  const isDone = earlier !== null && loaded?.config.recipients.includes(earlier) === true;
  if (isDone) return { recipient: earlier, replaced: held.find((recipient) => !loaded.config.recipients.includes(recipient)) ?? "", configured: true, resumed: true };
  // Without a configuration the newest identity, which stands first in a kit, is the one in use.
  const replaced = replacedRecipient(loaded?.config.recipients ?? held.slice(0, 1), held, order.replaces);
  const recipient = earlier ?? (await makeKit(order, replaced));
  if (loaded !== null) writeConfig(loaded, replaceRecipient(loaded.text, loaded.path, replaced, recipient));
  return { recipient, replaced, configured: loaded !== null, resumed: earlier !== null };
}

/** The recipient that a call which was cut short has made. Throws E_REFUSED for any other file. */
async function earlierRecipient(path: string, kit: Kit, held: readonly string[]): Promise<string> {
  const there = requireKit(path);
  const recipients = await kitRecipients(there);
  const [fresh, ...more] = recipients.filter((recipient) => !held.includes(recipient));
  const isOurs = there.vault === kit.vault && held.every((recipient) => recipients.includes(recipient));
  if (fresh !== undefined && more.length === 0 && isOurs) return fresh;
  throw new ColdkeepError("E_REFUSED", `${path} is there already, and no rotation of this kit made it`, { hint: "Name another file with --to: nothing is overwritten." });
}

async function makeKit({ loaded, kit, newKitPath, passphrase, now }: RotateOrder, replaced: string): Promise<string> {
  const { identity, recipient } = await newIdentity({ pq: recipientKind(replaced) === "hybrid" });
  const whole: Kit = { ...kit, identities: [identity, ...kit.identities] };
  const written = passphrase === null ? whole : await sealKit(whole, passphrase);
  // Noted first: a killed call leaves no kit that no backup warns of.
  if (loaded !== null) noteKitPath(hostKeysDir(loaded.dir), newKitPath);
  writePage(newKitPath, formatKit(written, { createdAt: now.toISOString() }));
  return recipient;
}

/** Puts a recipient that was made elsewhere in another's place. Throws E_CONFIG, E_USAGE, E_REFUSED. */
export async function replaceInConfig(loaded: LoadedConfig, fresh: string, replaces: string | undefined): Promise<Rotation> {
  const { recipients } = loaded.config;
  const [recipient = fresh] = await parseRecipients([fresh]);
  if (recipients.includes(recipient)) return { recipient, replaced: replaces ?? "", configured: true, resumed: true };
  const replaced = replacedRecipient(recipients, recipients, replaces);
  if (recipientKind(recipient) !== recipientKind(replaced)) {
    throw new ColdkeepError("E_USAGE", "recipients of both kinds, age1… and age1pq1…, cannot follow each other", { hint: "The host's catalog key is of the old kind: set the host up anew with `coldkeep init` for the other one." });
  }
  writeConfig(loaded, replaceRecipient(loaded.text, loaded.path, replaced, recipient));
  return { recipient, replaced, configured: true, resumed: false };
}
