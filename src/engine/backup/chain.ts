/** Where a run stands in the host's chain: what it follows, and whether it may write at all (format §5.3). */
import { ColdkeepError } from "../../errors.ts";
import { newestFirst, type SeenArchive } from "../../policy/latest.ts";
import type { RunState } from "../../state/run-state.ts";
import { newerUnknown, type Survey } from "../survey.ts";
import { RevokedFault } from "../trust.ts";

export type ChainChoice = {
  /** Another instance of the host may be taken over. */
  takeOver: boolean;
  /** Begin a chain although an earlier one is known to have existed. */
  newChain: boolean;
};

/** The archive a new one follows. */
export type ChainEnd = { id: string; sha256: string; sequence: number };

/** Checks the chain before anything is written. Throws E_SIGNER, E_CLONE, E_REFUSED. Returns its end, null for a new chain. */
export function checkChain(survey: Survey, state: RunState, writer: string, choice: ChainChoice, allRegionsAnswer: boolean): ChainEnd | null {
  const [newest] = newestFirst(survey.archives);
  const stranger = newerUnknown(survey, newest);
  if (stranger !== undefined && !choice.newChain) {
    throw new ColdkeepError("E_SIGNER", `region "${stranger.region}": ${stranger.fault.message}`, {
      hint: "If this host's keys were made anew, run once with --new-chain; if not, somebody else writes into this host's folder.",
    });
  }
  if (newest !== undefined) refuseClone(newest, writer, choice);
  const voided = new Set(survey.faulty.filter(({ fault }) => fault instanceof RevokedFault).map(({ id }) => id));
  const committed = state.latest();
  // What the operator has declared void is nobody's loss.
  const remembered = committed !== undefined && voided.has(committed.id) ? undefined : committed;
  const seen = newest === undefined ? null : { id: newest.header.id, sha256: newest.sha256, sequence: newest.header.sequence };
  if (remembered === undefined || (seen !== null && seen.sequence >= remembered.sequence)) return seen;
  if (allRegionsAnswer && !choice.newChain) {
    throw new ColdkeepError("E_REFUSED", `rollback: this host committed archive ${remembered.id}, and no region holds it any more`, {
      hint: "Find out who removed it. To go on from what is left, run once with --new-chain.",
    });
  }
  return allRegionsAnswer ? seen : remembered;
}

function refuseClone(newest: SeenArchive, writer: string, choice: ChainChoice): void {
  if (newest.header.writer === writer || choice.takeOver) return;
  throw new ColdkeepError("E_CLONE", `the newest archive ${newest.header.id} was written by another instance of this host`, {
    hint: "If this machine is a copy, give it its own name with `coldkeep init --host`; if it replaces the other, run once with --take-over.",
  });
}
