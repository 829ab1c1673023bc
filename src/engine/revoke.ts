/** Declares a host's signer stolen: what it signed after its last good archive is void for every reader. */
import { ColdkeepError } from "../errors.ts";
import { findId } from "../format/id.ts";
import type { Signer } from "../codec/signer.ts";
import type { PinnedSigner } from "../format/kit.ts";
import type { Emit } from "./events.ts";
import { type RecordedIn, recordStatement } from "./operator-record.ts";
import type { OpenVault } from "./open-vault.ts";
import { fingerprintOf, RevokedFault } from "./trust.ts";

export type RevokeOrder = {
  vault: OpenVault;
  /** Who signs the record. */
  operator: Signer;
  /** A public key, or the start of its fingerprint. */
  signer: string;
  /** The host, where several pin the key. */
  host: string | undefined;
  /** The last good archive: an id or the start of one. */
  last: string;
  reason: string;
  emit: Emit;
  signal: AbortSignal;
};

export type SignerRevocation = {
  host: string;
  revoked: string;
  fingerprint: string;
  last: string;
  record: string;
  /** Ids of what is void now. */
  voided: string[];
  regions: RecordedIn;
};

/** Fewer digits could be somebody else's by chance. */
const FINGERPRINT_DIGITS_MIN = 8;

type HostSigner = Extract<PinnedSigner, { role: "host" }>;

/** Throws E_USAGE, E_SIGNER. */
function findSigner(signers: readonly PinnedSigner[], wanted: string, host: string | undefined): HostSigner {
  const isMeant = (key: string): boolean => key === wanted || (wanted.length >= FINGERPRINT_DIGITS_MIN && fingerprintOf(key).startsWith(wanted.toLowerCase()));
  const [found, ...more] = signers.filter((signer) => signer.role === "host").filter((signer) => isMeant(signer.key) && (host === undefined || signer.host === host));
  if (found === undefined) throw new ColdkeepError("E_SIGNER", `the kit pins no host's signer "${wanted}"${host === undefined ? "" : ` for host "${host}"`}`, { hint: "`coldkeep signer list --kit FILE` shows them, with their fingerprints." });
  if (more.length > 0) throw new ColdkeepError("E_USAGE", `several signers are meant: ${[found, ...more].map((signer) => `${signer.host} ${signer.key}`).join(", ")}`, { hint: "Give the whole key, and --host LABEL." });
  return found;
}

/** Throws E_USAGE, E_SIGNER, E_NOT_FOUND, E_REGION when no region took the record. */
export async function revokeSigner({ vault, operator, signer, host: wantedHost, last, reason, emit, signal }: RevokeOrder): Promise<SignerRevocation> {
  const { host, key: revoked } = findSigner(vault.trust.signers, signer, wantedHost);
  const survey = await vault.survey(host);
  const id = findId(last, survey.archives.map(({ header }) => header.id), "archive");
  const good = survey.archives.find((archive) => archive.header.id === id);
  if (good === undefined) throw new ColdkeepError("E_NOT_FOUND", `there is no valid archive ${last} of ${host}`, { hint: "`coldkeep list` shows them." });
  const { id: record, regions } = await recordStatement(vault, { kind: "revoke", host, revoked, last: { id: good.header.id, sha256: good.sha256 }, reason }, operator, emit, signal);
  // Read back as every reader will.
  const { faulty } = await vault.survey(host);
  const voided = [...new Set(faulty.filter(({ fault }) => fault instanceof RevokedFault).map((each) => each.id))].toSorted();
  return { host, revoked, fingerprint: fingerprintOf(revoked), last: good.header.id, record, voided, regions };
}
