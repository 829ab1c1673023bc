/** Engine events on their way to a terminal. */
import type { Emit } from "../engine/events.ts";
import type { Terminal } from "./terminal-port.ts";

export function emitTo(terminal: Terminal): Emit {
  return (event) => {
    switch (event.kind) {
      case "progress":
        return terminal.progress(event.text);
      case "warning":
        return terminal.warn(event.message, event.hint);
      case "detail":
        return terminal.detail(event.message);
    }
  };
}
