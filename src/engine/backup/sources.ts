/** Sources under the paths the walk gives them: it resolves the links above a source. */
import { planSources } from "../../disk/source-tree.ts";
import type { SourceSpec } from "./messages.ts";

export function asWalked(sources: readonly SourceSpec[]): SourceSpec[] {
  return sources.map(({ path, exclude }) => ({ path: planSources([path], []).sources[0] ?? path, exclude }));
}
