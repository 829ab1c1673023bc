/** What a command of the host itself needs: configuration, keys, regions, and whose signatures count. */
import { recipientOf } from "../codec/age-keys.ts";
import { signerFromPem, formatPublicKey, type Signer } from "../codec/signer.ts";
import { findIdentities } from "../config/identity-leak.ts";
import { hostKeysDir, readHostKeys, type HostKeys } from "../config/keys.ts";
import type { LoadedConfig } from "../config/load.ts";
import { ColdkeepError } from "../errors.ts";
import type { PinnedSigner } from "../format/kit.ts";
import type { RegionSpec } from "./region.ts";
import type { Trust } from "./trust.ts";

export type HostSetup = { loaded: LoadedConfig; keys: HostKeys; keysDir: string; signer: Signer; trust: Trust };

/** Throws E_CONFIG, E_REFUSED. */
export function readHostSetup(loaded: LoadedConfig): HostSetup {
  const keysDir = hostKeysDir(loaded.dir);
  const keys = readHostKeys(keysDir);
  const signer = signerFromPem(keys.signerPem);
  const { host, vault, signers, retention } = loaded.config;
  const key = formatPublicKey(signer.publicKey);
  const own: PinnedSigner[] = [{ role: "host", host, key }];
  if (retention?.signedBy === "host") own.push({ role: "operator", key });
  return { loaded, keys, keysDir, signer, trust: { vault, signers: [...own, ...signers] } };
}

export function regionSpecs(loaded: LoadedConfig): RegionSpec[] {
  return loaded.config.regions.map(({ lock, storageClass, ...spec }) => ({ ...spec, keeping: { lock, storageClass } }));
}

/** Promise 2: refuses to back up where an identity of one of the recipients lies about. Throws E_REFUSED. */
export async function refuseIdentities(setup: HostSetup, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const { loaded, keysDir } = setup;
  const places = { configText: loaded.text, configPath: loaded.path, env, keysDir, stateDir: loaded.config.state };
  for (const { where, identity } of findIdentities(places)) {
    const recipient = await recipientOf(identity).catch(() => undefined);
    if (recipient === undefined || !loaded.config.recipients.includes(recipient)) continue;
    throw new ColdkeepError("E_REFUSED", `${where} holds the identity of the recipient ${recipient.slice(0, 16)}…: this host could read its own archives`, {
      hint: "Move it to where the kit is kept, off this host, and run again.",
    });
  }
}
