/** Engine events on their way to a terminal. */
import { performance } from "node:perf_hooks";
import type { EngineEvent, Emit } from "../engine/events.ts";
import { Pace, type PaceReading } from "../policy/pace.ts";
import { formatDuration, formatSize } from "../units.ts";
import type { Terminal } from "./terminal-port.ts";

export function emitTo(terminal: Terminal): Emit {
  const pace = new Pace();
  return (event) => {
    switch (event.kind) {
      case "progress":
        return terminal.progress(progressLine(event, event.work === undefined ? undefined : pace.note(event.work, performance.now())));
      case "warning":
        return terminal.warn(event.message, event.hint);
      case "detail":
        return terminal.detail(event.message);
    }
  };
}

/** What matters most comes first: a narrow terminal cuts the end. */
export function progressLine({ text, more }: Extract<EngineEvent, { kind: "progress" }>, reading: PaceReading | undefined): string {
  const rate = reading?.bytesPerSecond ?? null;
  const leftMs = reading?.leftMs ?? null;
  const parts = [text, ...(rate === null ? [] : [`${formatSize(rate)}/s`]), ...(leftMs === null ? [] : [`${formatLeft(leftMs)} left`])];
  return `${parts.join(", ")}${more === undefined ? "" : `; ${more}`}`;
}

/** Whole seconds: tenths would flicker. */
function formatLeft(ms: number): string {
  return ms < 60_000 ? `${Math.ceil(ms / 1000)}s` : formatDuration(ms);
}
