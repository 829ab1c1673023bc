/** Setting up a host: keys, kit, vault and configuration, in this order, so that a killed call is completed by the next. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { newIdentity, parseRecipients, recipientKind } from "../codec/age-keys.ts";
import { sha256Hex } from "../codec/digest.ts";
import { formatPublicKey, formatSecretKey, newSigner, signerFromPem } from "../codec/signer.ts";
import { createHostKeys, hasHostKeys, hostKeysDir } from "../config/keys.ts";
import { readKitFile } from "../config/kit-file.ts";
import { formatConfig, loadConfig } from "../config/load.ts";
import type { ServerConfig } from "../config/data-schema.ts";
import type { SourceConfig } from "../config/schema.ts";
import { createFileExclusive } from "../disk/atomic-write.ts";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { formatKit, signerLine, type Kit, type PinnedSigner } from "../format/kit.ts";
import { VAULT_MARKER_KEY } from "../format/object-key.ts";
import { encodeVaultMarker } from "../format/vault-marker.ts";
import { readRecoveryFiles } from "../recovery/recovery-files.ts";
import type { Emit } from "./events.ts";
import { kitRecipients } from "./kit-open.ts";
import { noteKitPath } from "./kit-note.ts";
import { ownProgramSha256 } from "./own-program.ts";
import { closeRegions, openRegions, readerSpec, readMarker, type Region } from "./region.ts";

export type InitOrder = {
  configPath: string;
  host: string;
  regions: { name: string; url: string }[];
  sources: SourceConfig[];
  /** Servers of this machine that are dumped. */
  databases: ServerConfig["type"][];
  /** Empty: an identity is made, and kept only in the kit. */
  recipients: string[];
  stateDir: string;
  kitPath: string;
  /** With recipients given, a kit is written only when it was asked for. */
  wantsKit: boolean;
  emit: Emit;
};

export type InitReport = {
  vault: string;
  host: string;
  config: string;
  regions: { name: string; url: string }[];
  recipients: string[];
  /** The line a kit needs to trust this host. */
  signerLine: string;
  /** The kit, when this call wrote it. */
  kitWritten: string | null;
  /** Whether the written kit holds an identity made now, which is nowhere else. */
  kitHoldsIdentity: boolean;
  /** Whether the regions held the vault before. */
  joined: boolean;
  /** Whether the configuration names an operator, whose records it then believes. */
  knowsOperator: boolean;
  /** Whether this call made a signer: readers do not know it yet. */
  signerMade: boolean;
  /** Whether nothing had to be done. */
  unchanged: boolean;
};

/** All that is decided and made before the first byte is written; what stands in `configText` is what will be written. */
export type InitPlan = { vault: string; existingKit: Kit | null; identity: Identity; configText: string };

type Identity = { recipients: string[]; kit: Kit | null; operator: PinnedSigner | null };

/** Public keys to encrypt to, known to be right. Throws E_KIT and its kin where one is not, and never repeats a secret one. */
export async function checkRecipients(recipients: readonly string[]): Promise<string[]> {
  return parseRecipients(recipients);
}

/** The one vault id the regions' markers name; null while none holds any. Throws E_REFUSED for two. */
async function vaultOf(regions: readonly Region[]): Promise<string | null> {
  const found = await Promise.all(regions.map(async (region) => ({ region, vault: await readMarker(region) })));
  const holders = found.flatMap(({ region, vault }) => (vault === null ? [] : [{ region, vault }]));
  const [first] = holders;
  const other = holders.find(({ vault }) => vault !== first?.vault);
  if (first === undefined || other === undefined) return first?.vault ?? null;
  throw new ColdkeepError("E_REFUSED", `region "${first.region.name}" holds the vault ${first.vault} and region "${other.region.name}" the vault ${other.vault}`, {
    hint: "The regions of one configuration hold copies of one vault: use another prefix or directory for one of them.",
  });
}

/** Recipients given, of the kit that is there already, or of an identity made now. */
async function chooseIdentity(order: InitOrder, existing: Kit | null): Promise<Identity> {
  const operatorOf = (kit: Kit): PinnedSigner | null => kit.signers.find((signer) => signer.role === "operator") ?? null;
  if (order.recipients.length > 0) return { recipients: await parseRecipients(order.recipients), kit: null, operator: existing === null ? null : operatorOf(existing) };
  if (existing !== null) {
    const recipients = await kitRecipients(existing);
    if (recipients.length === 0) throw new ColdkeepError("E_REFUSED", `the kit ${order.kitPath} holds no identity`, { hint: "Give --recipient, or another file with --kit." });
    return { recipients, kit: null, operator: operatorOf(existing) };
  }
  const { identity, recipient } = await newIdentity({ pq: false });
  const operator = newSigner();
  const pinned: PinnedSigner = { role: "operator", key: formatPublicKey(operator.publicKey) };
  const kit: Kit = { vault: "", regions: order.regions, signers: [pinned], credentials: [], operatorKey: formatSecretKey(operator.privateKey), identities: [identity] };
  return { recipients: [recipient], kit, operator: pinned };
}

async function ensureKeys(order: InitOrder, recipients: readonly string[]): Promise<PinnedSigner> {
  const isHybrid = recipients.every((recipient) => recipientKind(recipient) === "hybrid");
  const { identity } = await newIdentity({ pq: isHybrid });
  mkdirSync(dirname(order.configPath), { recursive: true, mode: 0o700 });
  const made = { catalogIdentity: identity, signerPem: newSigner().privatePem, random: randomBytes(16).toString("hex") };
  const keys = createHostKeys(hostKeysDir(dirname(order.configPath)), made);
  return { role: "host", host: order.host, key: formatPublicKey(signerFromPem(keys.signerPem).publicKey) };
}

function writeKit(order: InitOrder, kit: Kit): void {
  const notes = ["Move this file off the server, and keep a copy on paper: without it the archives cannot be read."];
  const text = formatKit(kit, { createdAt: new Date().toISOString(), notes });
  createExclusive(order.kitPath, text, "kit");
}

function createExclusive(path: string, text: string, what: string): void {
  try {
    createFileExclusive(path, Buffer.from(text), 0o600);
  } catch (error) {
    if (systemCode(error) === "EEXIST") throw new ColdkeepError("E_REFUSED", `${path} is there already, and is no ${what} that can be read`, { hint: "Move it away, or name another file: nothing is overwritten." });
    throw new ColdkeepError("E_DISK", `cannot write the ${what} ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Puts the marker and the recovery texts into a region that has none; what is there stays. */
async function prepareRegion(region: Region, vault: string, marker: Buffer): Promise<void> {
  for (const { key, bytes, sha256 } of readRecoveryFiles()) {
    if ((await region.store.head(key)) === null) await region.store.put(key, bytes, { sha256 });
  }
  if ((await readMarker(region)) !== null) return;
  await region.store.put(VAULT_MARKER_KEY, marker, { sha256: sha256Hex(marker) });
  const now = await readMarker(region);
  if (now !== vault) throw new ColdkeepError("E_REFUSED", `region "${region.name}" became another vault at the same moment`, { hint: "Run `coldkeep init` again." });
}

/** Decides everything, and writes nothing. `marked` is the vault the regions hold. Throws E_REFUSED, E_KIT, E_CONFIG. */
export async function planInit(order: InitOrder, marked: string | null): Promise<InitPlan> {
  const existingKit = readKitFile(order.kitPath);
  const vault = marked ?? existingKit?.vault ?? randomBytes(16).toString("hex");
  if (existingKit !== null && existingKit.vault !== vault) {
    throw new ColdkeepError("E_REFUSED", `${order.kitPath} is the kit of another vault`, { hint: "Name another file with --kit; a kit is never overwritten." });
  }
  const identity = await chooseIdentity(order, existingKit);
  const { host, regions, sources, stateDir: state } = order;
  const signers = identity.operator === null ? [] : [identity.operator];
  return { vault, existingKit, identity, configText: formatConfig({ vault, host, regions, recipients: identity.recipients, signers, sources, databases: order.databases, state }) };
}

/** Follows `made`, or a plan made on the spot. Throws E_REFUSED when something would have to be overwritten, E_URL, E_CONFIG, StoreError. */
export async function initHost(order: InitOrder, made?: InitPlan): Promise<InitReport> {
  if (existsSync(order.configPath)) return checkExisting(order);
  const regions = await openRegions(order.regions.map(({ name, url }) => readerSpec(name, url)), order.emit);
  try {
    for (const region of regions) await region.store.create();
    const marked = await vaultOf(regions);
    const plan = made ?? (await planInit(order, marked));
    if (marked !== null && marked !== plan.vault) throw new ColdkeepError("E_REFUSED", `the regions became the vault ${marked} meanwhile`, { hint: "Run `coldkeep init` again." });
    return await setUp(order, plan, regions, marked !== null);
  } finally {
    closeRegions(regions);
  }
}

async function setUp(order: InitOrder, { vault, existingKit, identity, configText }: InitPlan, regions: readonly Region[], joined: boolean): Promise<InitReport> {
  const signer = await ensureKeys(order, identity.recipients);
  const recoverSha256 = readRecoveryFiles().find(({ key }) => key === "recover.sh")?.sha256;
  const programSha256 = await ownProgramSha256();
  const withDigest = { ...(recoverSha256 !== undefined && { recoverSha256 }), ...(programSha256 !== null && { programSha256: [programSha256] }) };
  let kitWritten: string | null = null;
  if (order.recipients.length === 0) noteKitPath(hostKeysDir(dirname(order.configPath)), order.kitPath);
  if (identity.kit !== null) {
    writeKit(order, { ...identity.kit, ...withDigest, vault, signers: [signer, ...identity.kit.signers] });
    kitWritten = order.kitPath;
  } else if (order.wantsKit && existingKit === null) {
    writeKit(order, { vault, regions: order.regions, signers: [signer], ...withDigest, credentials: [], identities: [] });
    kitWritten = order.kitPath;
  }
  const marker = encodeVaultMarker(vault, new Date().toISOString());
  for (const region of regions) await prepareRegion(region, vault, marker);
  createExclusive(order.configPath, configText, "configuration");
  return { vault, host: order.host, config: order.configPath, regions: order.regions, recipients: identity.recipients, signerLine: signerLine(signer), kitWritten, kitHoldsIdentity: identity.kit !== null, joined, knowsOperator: identity.operator !== null, signerMade: true, unchanged: false };
}

/** The same call again: completes what is missing in the regions and refuses to change the configuration. */
async function checkExisting(order: InitOrder): Promise<InitReport> {
  const { config } = loadConfig(order.configPath);
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  const differing = [
    config.host === order.host ? [] : ["--host"],
    same(config.regions.map(({ name, url }) => ({ name, url })), order.regions) ? [] : ["--region"],
    same(config.sources.map(({ path }) => path), order.sources.map(({ path }) => path)) ? [] : ["--source"],
    order.recipients.length === 0 || same(config.recipients, order.recipients) ? [] : ["--recipient"],
  ].flat();
  if (differing.length > 0) {
    throw new ColdkeepError("E_REFUSED", `${order.configPath} exists and says something else than ${differing.join(", ")}`, {
      hint: "Edit the configuration; `coldkeep config check` tells whether it is right.",
    });
  }
  const signerMade = !hasHostKeys(hostKeysDir(dirname(order.configPath)));
  const signer = await ensureKeys(order, config.recipients);
  const marker = encodeVaultMarker(config.vault, new Date().toISOString());
  const regions = await openRegions(order.regions.map(({ name, url }) => readerSpec(name, url)), order.emit);
  try {
    for (const region of regions) {
      await region.store.create();
      const found = await readMarker(region);
      if (found !== null && found !== config.vault) throw new ColdkeepError("E_REFUSED", `region "${region.name}" holds another vault, ${found}`, { hint: "Correct its URL in the configuration." });
      await prepareRegion(region, config.vault, marker);
    }
  } finally {
    closeRegions(regions);
  }
  return { vault: config.vault, host: config.host, config: order.configPath, regions: order.regions, recipients: config.recipients, signerLine: signerLine(signer), kitWritten: null, kitHoldsIdentity: false, joined: true, knowsOperator: config.signers.some(({ role }) => role === "operator"), signerMade, unchanged: true };
}
