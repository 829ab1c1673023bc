/** How much a profile may hold: what readers refuse beyond, its writer cuts. */
import type { Profile } from "./profile.ts";

export const TEXT_MAX = 4096;
export const LIST_MAX = 20_000;
export const APT_FILES_MAX = 1000;
export const LONG_TEXT_MAX = 1024 * 1024;

/** Texts that may be longer than others: files and rules, which are never cut within. */
const LONG_TEXTS = new Set(["base64", "rules"]);

function bounded(value: unknown, key: string, cut: Set<string>, place: string): unknown {
  if (typeof value === "string") {
    const max = LONG_TEXTS.has(key) ? LONG_TEXT_MAX : TEXT_MAX;
    if (value.length > max) cut.add(place);
    return value.slice(0, max).toWellFormed();
  }
  if (Array.isArray(value)) {
    const max = key === "aptFiles" ? APT_FILES_MAX : LIST_MAX;
    if (value.length > max) cut.add(place);
    return value.slice(0, max).map((item) => bounded(item, key, cut, place));
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, bounded(each, name, cut, place === "" ? name : `${place}.${name}`)]));
}

/** The profile as every reader takes it: what is longer than it may be is cut, and named among the gaps. */
export function withinBounds(profile: Profile): Profile {
  const cut = new Set<string>();
  // Only lengths change, so that the shape stays what it was.
  const result = bounded(profile, "", cut, "") as Profile;
  const gaps = [...cut].map((what) => ({ what, why: "longer than a profile may hold: cut" }));
  return { ...result, gaps: [...gaps, ...result.gaps].slice(0, LIST_MAX) };
}
