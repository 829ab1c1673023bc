/** Kinds of values that several sections of the configuration share. */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";

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
