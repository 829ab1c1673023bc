/** What a use case tells while it runs; commands turn it into lines and progress. */
import type { Work } from "../policy/pace.ts";

export type EngineEvent =
  /** `work` gives the line its speed and its end; `more` comes last, where the line has room. */
  | { kind: "progress"; text: string; work?: Work; more?: string }
  /** Something a person should know, which did not stop the run. */
  | { kind: "warning"; message: string; hint?: string | undefined }
  /** Only with -v. */
  | { kind: "detail"; message: string };

export type Emit = (event: EngineEvent) => void;
