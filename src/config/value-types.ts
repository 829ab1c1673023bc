/** Kinds of values that several sections of the configuration share. */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { parseDuration } from "../units.ts";

/** Turns the ColdkeepError of a parser into an issue at the value's place; its hint goes along. */
export function checked<In, Out>(parse: (value: In) => Out): (value: In, context: z.RefinementCtx) => Out {
  return (value, context) => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof ColdkeepError)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
      return z.NEVER;
    }
  };
}

/** An absolute path, made plain: single slashes, no dots, no final slash. */
function plainPath(text: string): string {
  if (!text.startsWith("/")) throw new ColdkeepError("E_CONFIG", `"${text}" is not an absolute path`, { hint: "Write the path from the root on, like /srv/data." });
  if (text.includes("\0")) throw new ColdkeepError("E_CONFIG", "a path cannot hold NUL");
  const parts = text.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new ColdkeepError("E_CONFIG", `"${text}" has .. in it`, { hint: "Write the path it leads to." });
  return `/${parts.join("/")}`;
}

export const path = z.string().transform(checked(plainPath));

/** Milliseconds of a duration from a second to so many days. */
export function durationUpTo(days: number) {
  const parse = (text: string): number => {
    const ms = parseDuration(text);
    if (ms >= 1000 && ms <= days * 86_400_000) return ms;
    throw new ColdkeepError("E_CONFIG", `${text} is not between 1s and ${days}d`);
  };
  return z.string({ error: "must be a duration with its unit" }).transform(checked(parse));
}
