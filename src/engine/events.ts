/** What a use case tells while it runs; commands turn it into lines and progress. */

export type EngineEvent =
  | { kind: "progress"; text: string }
  /** Something a person should know, which did not stop the run. */
  | { kind: "warning"; message: string; hint?: string | undefined }
  /** Only with -v. */
  | { kind: "detail"; message: string };

export type Emit = (event: EngineEvent) => void;
