/** What the regions' outcomes mean for a run. */
import { EXIT, type ExitStatus } from "../errors.ts";

/** Default of `copies`: all regions but one, at least one. */
export function requiredCopies(configured: number | undefined, regions: number): number {
  return configured ?? Math.max(1, regions - 1);
}

/** Exit status of a run that made an archive: too few complete regions is failure, one behind or a bad source partial. */
export function archiveStatus(complete: number, regions: number, copies: number, sourcesComplete: boolean): ExitStatus {
  if (complete < copies) return EXIT.failed;
  return complete < regions || !sourcesComplete ? EXIT.partial : EXIT.done;
}
