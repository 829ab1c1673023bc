/** A vault opened for reading: by a host's configuration, by a kit, or by one region and a pinned signer. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { preloadAge } from "../codec/age-header.ts";
import type { LoadedConfig } from "../config/load.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { findId } from "../format/id.ts";
import type { BareSigner, Kit, PinnedSigner } from "../format/kit.ts";
import { isHostLabel, parseObjectKey } from "../format/object-key.ts";
import { type ChainFinding, chainFindings, type ChainLink, expiredLinks, latestArchive, type SeenArchive, viewFindings } from "../policy/latest.ts";
import { CatalogCache } from "../state/catalog-cache.ts";
import { HeadCache } from "../state/head-cache.ts";
import { statePaths } from "../state/state-paths.ts";
import { CatalogReader } from "./catalog-reader.ts";
import { EarlyListings } from "./early-listings.ts";
import type { Emit } from "./events.ts";
import { readHostSetup, regionSpecs } from "./host-setup.ts";
import { type LivingSurvey, surveyLiving } from "./living.ts";
import { loadManifest, type Manifest } from "./manifests.ts";
import { newerUnknown, ruinedSince, surveyNewest, type Survey } from "./survey.ts";
import { ObjectSource, SealedReader } from "./object-source.ts";
import { rememberedLatest } from "./remembered.ts";
import { closeRegions, openRegions, reachableRegions, readerSpec, readMarker, type Region, type RegionSpec } from "./region.ts";
import { pinnedHosts, RevokedFault, type Trust } from "./trust.ts";

/** Who says which regions there are and whom to trust. */
export type Authority =
  | { kind: "config"; loaded: LoadedConfig }
  | { kind: "kit"; kit: Kit }
  | { kind: "signers"; signers: (PinnedSigner | BareSigner)[] };

export type ReadingOrder = {
  authority: Authority;
  /** Only this region: a name the authority knows, or a URL. */
  region?: string | undefined;
  /** The host, where the vault holds several. */
  host?: string | undefined;
  /** Every region matters, however long it takes. */
  waitsForAll?: boolean;
  /** Folder of a reader without a configuration, where heads of manifests may be kept for the next time. */
  readerCache?: string | undefined;
  emit: Emit;
  signal: AbortSignal;
};

const SINGLE_REGION = "region";

function kitSpecs({ regions, credentials }: Kit): RegionSpec[] {
  return regions.map(({ name, url }) => readerSpec(name, url, credentials.find(({ region }) => region === name)));
}

/** The regions to open. Throws E_USAGE for a name nobody knows. */
function chooseRegions(order: ReadingOrder): RegionSpec[] {
  const { authority, region } = order;
  const known =
    authority.kind === "config" ? regionSpecs(authority.loaded) : authority.kind === "kit" ? kitSpecs(authority.kit) : [];
  if (region === undefined) return known;
  const named = known.find(({ name, url }) => name === region || url === region);
  if (named !== undefined) return [named];
  if (region.includes("://")) return [readerSpec(SINGLE_REGION, region)];
  throw new ColdkeepError("E_USAGE", `there is no region "${region}"`, { hint: `Known are: ${known.map(({ name }) => name).join(", ")}.` });
}

/** The host asked for, or the only one; undefined where that says nothing. */
function hostOf({ authority, host }: ReadingOrder, trust: Trust): string | undefined {
  if (host !== undefined) return host;
  const hosts = pinnedHosts(trust);
  return authority.kind === "config" ? authority.loaded.config.host : hosts.length === 1 ? hosts[0] : undefined;
}

type Early = { host: string; listings: EarlyListings };

/** Asks for a host's archives while the regions still say whether they hold the vault. */
function askEarly(order: ReadingOrder, trust: Trust, regions: readonly Region[], closing: AbortSignal): Early | undefined {
  const host = hostOf(order, trust);
  if (host === undefined || !isHostLabel(host)) return undefined;
  return { host, listings: new EarlyListings(regions, host, AbortSignal.any([order.signal, closing]), ["archive", "record"]) };
}

/** How long regions may take once another has answered: whoever reads needs one. */
const OTHERS_MS = 5000;

/** An archive with its whole manifest. */
export type FoundArchive = {
  seen: SeenArchive;
  manifest: Manifest;
  /** Ids of newer ones that no region has right, where the latest was asked for. */
  passedOver: string[];
};

/** What of an open vault tells where its objects are, and whose signatures count. */
export type OpenRegions = Pick<OpenVault, "regions" | "reachable" | "trust">;

/** An open vault. Call `close`. */
export class OpenVault {
  readonly trust: Trust;
  /** Every region asked for. */
  readonly regions: Region[];
  /** Those that answer and hold the vault. */
  readonly reachable: Region[];
  /** What opens catalogs, and with a kit volumes too. */
  readonly identities: string[];
  readonly cache: CatalogCache;
  readonly #order: ReadingOrder;
  readonly #ownCache: boolean;
  /** Used once: who asks again wants to know what is there by then. */
  #early: Early | undefined;
  /** One for each archive, so that what was found bad is known to all readers. */
  readonly #sources = new Map<string, ObjectSource>();

  /** Ends what was asked of regions that turned out to be of no use. */
  readonly #closing: AbortController;

  private constructor(order: ReadingOrder, trust: Trust, regions: Region[], reachable: Region[], identities: string[], early: Early | undefined, closing: AbortController) {
    this.#order = order;
    this.#closing = closing;
    this.#early = early;
    this.trust = trust;
    this.regions = regions;
    this.reachable = reachable;
    this.identities = identities;
    const { authority } = order;
    this.#ownCache = authority.kind !== "config";
    this.cache = new CatalogCache(authority.kind === "config" ? statePaths(authority.loaded.config.state).catalogs : mkdtempSync(join(tmpdir(), "coldkeep-catalog-")));
  }

  /** Throws E_REGION when no region can be used, E_USAGE, E_REFUSED. */
  static async open(order: ReadingOrder): Promise<OpenVault> {
    const { authority, emit } = order;
    const closing = new AbortController();
    const regions = await openRegions(chooseRegions(order), emit);
    try {
      const { trust, identities } = await trustOf(authority, regions, order.host);
      const early = askEarly(order, trust, regions, closing.signal);
      const reachable = await reachableRegions(regions, trust.vault, emit, order.signal, order.waitsForAll === true ? undefined : OTHERS_MS);
      return new OpenVault(order, trust, regions, reachable, identities, early, closing);
    } catch (error) {
      closing.abort();
      closeRegions(regions);
      throw error;
    }
  }

  /** Labels of the hosts that can be read: those with a pinned signer. */
  hosts(): string[] {
    return pinnedHosts(this.trust);
  }

  /** The host asked for, or the only one. Throws E_USAGE. */
  host(): string {
    const hosts = this.hosts();
    const chosen = hostOf(this.#order, this.trust);
    if (chosen === undefined) {
      const which = hosts.length === 0 ? "no host has a pinned signer" : `there are several hosts: ${hosts.join(", ")}`;
      throw new ColdkeepError("E_USAGE", which, { hint: hosts.length === 0 ? "Add the host's signer line to the kit." : "Give --host LABEL." });
    }
    if (hosts.includes(chosen)) return chosen;
    throw new ColdkeepError("E_SIGNER", `no signer is pinned for host "${chosen}"`, { hint: `Pinned are: ${hosts.join(", ") || "none"}. Add its signer line to the kit, or give --signer.` });
  }

  /** Gaps, forks, mixes and rollbacks of a host's chain, as far as its survey and, on the host itself, its state tell. */
  findings(host: string, { archives, expired, fates, faulty, lost }: LivingSurvey): ChainFinding[] {
    const { authority } = this.#order;
    const chain: ChainLink[] = [...archives, ...expired, ...expiredLinks(fates)];
    const regions = this.reachable.filter((region) => !lost.some((each) => each.region === region)).map(({ name }) => name);
    const latest = authority.kind === "config" && authority.loaded.config.host === host ? rememberedLatest(authority.loaded.config.state) : undefined;
    const isVoid = faulty.some(({ id, fault }) => id === latest?.id && fault instanceof RevokedFault);
    return [...chainFindings(chain), ...viewFindings(archives, chain, { regions, remembered: isVoid ? undefined : latest })];
  }

  /** The host's archives that have not expired; what is wrong with its chain, unknown signers and regions that stopped answering are told. */
  async survey(host: string): Promise<LivingSurvey> {
    const { emit, signal } = this.#order;
    const early = this.#early?.host === host ? this.#early.listings : undefined;
    this.#early = undefined;
    using heads = this.#openHeads();
    const survey = await surveyLiving(this.reachable, host, this.trust, emit, signal, { early, heads });
    for (const { error } of survey.lost) emit({ kind: "warning", message: messageOf(error), hint: error instanceof ColdkeepError ? error.hint : undefined });
    for (const { region, fault } of survey.faulty) emit({ kind: "warning", message: `region "${region}": ${fault.message}`, hint: fault.hint });
    for (const finding of this.findings(host, survey)) emit({ kind: "warning", message: finding.message });
    return survey;
  }

  #openHeads(): HeadCache | undefined {
    const { authority, readerCache } = this.#order;
    if (authority.kind === "config") return new HeadCache(authority.loaded.config.state);
    return readerCache === undefined ? undefined : new HeadCache(join(readerCache, this.trust.vault));
  }

  /** Only the newest archive of a host that verifies, without a word; quicker where it is younger than `sinceMs`. */
  newest(host: string, sinceMs?: number): Promise<Survey> {
    return surveyNewest(this.reachable, host, this.trust, sinceMs, this.#order.signal);
  }

  /** The archive asked for: an id, the start of one, or the latest. Throws E_NOT_FOUND, E_SIGNER. */
  choose(survey: LivingSurvey, wanted: string | undefined): SeenArchive {
    if (wanted !== undefined && wanted !== "latest") {
      refuseExpired(survey, wanted.toLowerCase());
      const voided = survey.faulty.find(({ id, fault }) => fault instanceof RevokedFault && id.startsWith(wanted.toLowerCase()));
      if (voided !== undefined && !survey.archives.some(({ header }) => header.id.startsWith(wanted.toLowerCase()))) throw new ColdkeepError("E_SIGNER", voided.fault.message, { hint: voided.fault.hint });
      const id = findId(wanted, survey.archives.map(({ header }) => header.id), "archive");
      const found = survey.archives.find(({ header }) => header.id === id);
      if (found !== undefined) return found;
    }
    const latest = latestArchive(survey.archives);
    const stranger = newerUnknown(survey, latest);
    if (stranger !== undefined) throw new ColdkeepError("E_SIGNER", `region "${stranger.region}" holds a newer archive: ${stranger.fault.message}`, { hint: "Name the archive to use with --archive ID, or add the signer to the kit if that host is yours." });
    if (latest === undefined) throw noArchive(survey);
    const { emit } = this.#order;
    const newer = survey.archives.find(({ header }) => header.sequence > latest.header.sequence);
    if (newer !== undefined) emit({ kind: "warning", message: `a newer archive, ${newer.header.id}, is partial; ${latest.header.id} is the newest complete one`, hint: `To use the newer one, give --archive ${newer.header.id}.` });
    if (latest.header.status === "partial") emit({ kind: "warning", message: `no complete archive exists; ${latest.header.id} is partial: some of its sources could not be read` });
    return latest;
  }

  /** The host's archive of `wanted` with its whole manifest. */
  async archive(wanted: string | undefined): Promise<FoundArchive & { survey: LivingSurvey }> {
    const surveying = this.survey(this.host());
    if (this.identities.length > 0) preloadAge();
    const survey = await surveying;
    const seen = this.choose(survey, wanted);
    const isLatest = wanted === undefined || wanted === "latest";
    return { seen, survey, passedOver: isLatest ? ruinedSince(survey, seen) : [], manifest: await this.#manifest(seen) };
  }

  /** The whole manifest from the first region where it is intact; the others are named. */
  async #manifest(seen: SeenArchive): Promise<Manifest> {
    const { emit, signal } = this.#order;
    const [first, ...others] = this.reachable.filter(({ name }) => seen.regions.includes(name));
    if (first === undefined || others.length === 0) return loadManifest(this.reachable, seen, this.trust, signal);
    try {
      return await loadManifest([first], seen, this.trust, signal);
    } catch (error) {
      signal.throwIfAborted();
      const why = error instanceof ColdkeepError && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
      emit({ kind: "warning", message: why.includes(`region "${first.name}"`) ? why : `region "${first.name}": ${why}` });
      return this.#manifest({ ...seen, regions: others.map(({ name }) => name) });
    }
  }

  /** Reads stored objects of an archive, regions that hold it whole first. */
  objects(seen: SeenArchive): ObjectSource {
    const known = this.#sources.get(seen.header.id);
    if (known !== undefined) return known;
    const holders = this.reachable.filter(({ name }) => seen.regions.includes(name));
    const others = this.reachable.filter((region) => !holders.includes(region));
    const source = new ObjectSource(seen.header.host, [...holders, ...others], this.#order.emit, this.#order.signal);
    this.#sources.set(seen.header.id, source);
    return source;
  }

  /** Opens an archive's catalog. Throws E_IDENTITY when no identity at hand opens it. */
  async catalog(seen: SeenArchive, manifest: Manifest): Promise<CatalogReader> {
    if (this.identities.length === 0) throw new ColdkeepError("E_IDENTITY", "nothing at hand opens the catalog", { hint: "Give --kit FILE, or --config FILE on the host itself." });
    const reader = await SealedReader.create(this.objects(seen), this.identities);
    return CatalogReader.open(manifest, reader, this.cache);
  }

  close(): void {
    this.#closing.abort();
    closeRegions(this.regions);
    if (this.#ownCache) rmSync(this.cache.directory, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Throws E_NOT_FOUND for an archive that has expired, where no other can be meant. */
function refuseExpired({ archives, expired, fates }: LivingSurvey, wanted: string): void {
  if (archives.some(({ header }) => header.id.startsWith(wanted))) return;
  const gone = expired.find(({ header }) => header.id.startsWith(wanted));
  const record = gone === undefined ? [...fates.expired.values()].find(({ archive }) => archive.startsWith(wanted)) : fates.expired.get(gone.sha256);
  if (record === undefined) return;
  throw new ColdkeepError("E_NOT_FOUND", `archive ${record.archive} has expired since ${record.at} (${record.reason})`, { hint: "Run `coldkeep list` to see the archives that are kept." });
}

function noArchive({ faulty: [faulty] }: Survey): ColdkeepError {
  if (faulty === undefined) return new ColdkeepError("E_NOT_FOUND", "there is no archive yet", { hint: "Make one with `coldkeep backup`." });
  return new ColdkeepError("E_FORMAT", `no archive can be used: region "${faulty.region}": ${faulty.fault.message}`, {
    hint: "Run `coldkeep verify` to see what is damaged; what has a newer format version needs a newer coldkeep.",
  });
}

async function trustOf(authority: Authority, regions: readonly Region[], host: string | undefined): Promise<{ trust: Trust; identities: string[] }> {
  switch (authority.kind) {
    case "config": {
      const setup = readHostSetup(authority.loaded);
      return { trust: setup.trust, identities: [setup.keys.catalogIdentity] };
    }
    case "kit":
      return { trust: { vault: authority.kit.vault, signers: authority.kit.signers }, identities: authority.kit.identities };
    case "signers":
      return { trust: await bareTrust(authority.signers, regions, host), identities: [] };
  }
}

/** With a region and a key only: the vault is what the marker says, and the signature must fit the key given. */
async function bareTrust(signers: readonly (PinnedSigner | BareSigner)[], regions: readonly Region[], host: string | undefined): Promise<Trust> {
  const [region] = regions;
  const vault = region === undefined ? null : await readMarker(region);
  if (region === undefined || vault === null) throw new ColdkeepError("E_REGION", "the region holds no vault", { hint: "Check its URL." });
  const isBare = signers.some((signer) => signer.role === "host" && signer.host === null);
  const label = host ?? (isBare ? await onlyHost(region) : undefined);
  const pinned = signers.map((signer): PinnedSigner => (signer.role === "host" && signer.host === null ? { role: "host", host: label ?? "", key: signer.key } : signer));
  return { vault, signers: pinned };
}

/** The host of a vault that holds one. Throws E_USAGE for several. */
async function onlyHost(region: Region): Promise<string> {
  const hosts = new Set<string>();
  for await (const { key } of region.store.list("hosts/")) {
    const host = parseObjectKey(key)?.host;
    if (host !== undefined) hosts.add(host);
    if (hosts.size > 1) break;
  }
  const [only] = hosts;
  if (only !== undefined && hosts.size === 1) return only;
  throw new ColdkeepError("E_USAGE", hosts.size === 0 ? "the region holds no host's archives" : "the vault holds several hosts", { hint: "Give --host LABEL." });
}
