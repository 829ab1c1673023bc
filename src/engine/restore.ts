/** Restoring, for use cases that restore as a part of something larger. */
export { previewRestore } from "./restore/preview.ts";
export { type RestoreReport, runRestore } from "./restore/run.ts";
