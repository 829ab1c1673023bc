/** Which verbs are runs that someone watches, and what the end of one means to whoever watches. */
import { EXIT, type ExitStatus } from "../errors.ts";

/** Verbs whose runs are kept in the history, told to alarms and shown in the metrics. */
export const RECORDED_VERBS = ["backup", "verify", "restore", "state rebuild", "drill", "prune", "repair"] as const;
export type RecordedVerb = (typeof RECORDED_VERBS)[number];

/** What an alarm can be about. `overdue` is reserved: nothing sends it yet, and nothing else may take the word. */
export const ALARM_EVENTS = ["start", "success", "partial", "fail"] as const;
export type AlarmEvent = (typeof ALARM_EVENTS)[number];

/** The alarm at a run's end; null where another run held the host: that one reports for itself. */
export function alarmEventOf(status: ExitStatus): AlarmEvent | null {
  if (status === EXIT.locked) return null;
  if (status === EXIT.done) return "success";
  // Also a threshold passed, such as an archive far smaller than usual: whoever is told of failures only should hear of it.
  return status === EXIT.partial ? "partial" : "fail";
}
