/** What is wrong with the form of a value that was stored, in one line. */
import type { z } from "zod";

/** The first fault, with its place: `objects.count: expected number`. */
export function shapeFault({ issues }: z.ZodError): string {
  const [first] = issues;
  if (first === undefined) return "malformed";
  const place = first.path.map(String).join(".");
  return place === "" ? first.message : `${place}: ${first.message}`;
}
