/** Files: into the machine's own root; what is replaced is moved aside, and what stays untouched is laid out for comparison. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { accountsHere } from "../../machine/rebuild/accounts.ts";
import { ColdkeepError } from "../../errors.ts";
import { planAccounts } from "../../policy/account-plan.ts";
import { UNTOUCHED } from "../../policy/never-touch.ts";
import { runRestore } from "../restore.ts";
import { fetchPaths } from "./archived.ts";
import { ASIDE_FOLDER, RebuildJournal } from "./journal.ts";
import { layOutReview } from "./review.ts";
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

const SHOWN_MAX = 10;

export async function makeFiles(context: StepContext): Promise<StepNotes> {
  const { plan, archived, vault, emit, signal } = context;
  const log = RebuildJournal.path("replaced.ndjson");
  const report = await runRestore({
    vault,
    archive: archived.found,
    paths: [],
    target: "/",
    merge: true,
    numericOwner: false,
    thaw: null,
    machine: {
      leaveOut: { patterns: plan.leaveOut, packaged: true },
      aside: { root: "/", folder: `${ASIDE_FOLDER}/${plan.archive}`, log },
      // What the users step has made of the numbers, whenever that was.
      aclIds: planAccounts(archived.profile, accountsHere()).ids,
    },
    emit,
    signal,
  });
  const [lost] = report.lost;
  if (lost !== undefined && report.files === report.lost.length) throw new ColdkeepError("E_OBJECT", `no file of archive ${plan.archive} could be read back, ${lost.toWellFormed()} first`, { hint: "Rebuild from an earlier archive with --archive." });
  const replaced = existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0;
  const review = await reviewUntouched(context);
  const lacks = [
    ...report.lost.slice(0, SHOWN_MAX).map((path) => `${path.toWellFormed()} is lost: no region has its bytes right`),
    ...(report.lost.length > SHOWN_MAX ? [`${report.lost.length - SHOWN_MAX} more files are lost`] : []),
    ...report.notKept.map(({ what, count, examples }) => `not given back: ${what} of ${count}, like ${examples.slice(0, 3).join(", ")}`),
  ];
  const notes = [
    ...(replaced === 0 ? [] : [`${replaced} files that were replaced lie below ${ASIDE_FOLDER}/${plan.archive} at the root of their file system; ${log} names them`]),
    ...review,
  ];
  return { notes, lacks };
}

/** What stays as it is here and differs from what was archived: for a person to compare. */
async function reviewUntouched({ plan, archived, vault, emit, signal }: StepContext): Promise<string[]> {
  const target = RebuildJournal.path("untouched");
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const paths = UNTOUCHED.filter(({ review }) => review).flatMap((each) => each.paths.filter((path) => path !== "/boot"));
  const present = await fetchPaths(vault, archived, paths, target, emit, signal);
  return layOutReview({ present, from: target, archive: plan.archive, signal });
}
