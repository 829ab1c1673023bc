/** Changes to a kit that is there: what is added goes into the same file, whole or not at all. */
import { requireKit } from "../config/kit-file.ts";
import { writeFileDurable } from "../disk/atomic-write.ts";
import { ColdkeepError } from "../errors.ts";
import { formatKit, type Kit, type KitCredentials, type PinnedSigner, signerLine } from "../format/kit.ts";
import { resolveCredentials } from "../storage/credentials.ts";
import { parseRegionUrl } from "../storage/region-url.ts";
import { sealKit } from "./kit-open.ts";

/** Adds a signer to the kit at `path`; false when it is in there already. Throws E_KIT, E_REFUSED, system errors. */
export function addSigner(path: string, signer: PinnedSigner, now: Date): boolean {
  const kit = requireKit(path);
  if (kit.signers.some((known) => signerLine(known) === signerLine(signer))) return false;
  const text = formatKit({ ...kit, signers: [...kit.signers, signer] }, { createdAt: now.toISOString() });
  writeFileDurable(path, Buffer.from(text), 0o600);
  return true;
}

/** Puts a kit that was opened back under a passphrase, in the same file. Throws E_KIT, system errors. */
export async function protectKit(path: string, opened: Kit, passphrase: string, now: Date): Promise<void> {
  const text = formatKit(await sealKit(opened, passphrase), { createdAt: now.toISOString() });
  writeFileDurable(path, Buffer.from(text), 0o600);
}

/** The keys this machine would use for each S3 region of the kit. Throws E_CREDENTIALS for a region whose keys only a provider's chain knows. */
export async function findCredentials(kit: Kit): Promise<KitCredentials[]> {
  const found: KitCredentials[] = [];
  for (const { name, url } of kit.regions) {
    const parsed = parseRegionUrl(url);
    if (parsed.kind === "directory") continue;
    const credentials = await resolveCredentials(name, parsed);
    if (credentials.kind !== "keys" || credentials.keys.sessionToken !== undefined) {
      throw new ColdkeepError("E_CREDENTIALS", `region "${name}": there are no lasting keys to write down`, { hint: "Make a key that can only read, and set it in the region's environment variables for this call." });
    }
    const { accessKeyId, secretAccessKey } = credentials.keys;
    found.push({ region: name, accessKeyId, secretAccessKey });
  }
  return found;
}
