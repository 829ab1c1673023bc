/** Whether the program runs as one executable with Node inside: the only module that asks. */
import { getAsset, isSea } from "node:sea";

export type SingleFile = {
  /** Path of the executable. */
  path: string;
  /** Text of a file that the build put in. Throws for a name it does not know. */
  asset(name: string): string;
};

/** Null in an ordinary installation, where files lie beside the modules that need them. */
export const singleFile: SingleFile | null = isSea() ? { path: process.execPath, asset: (name) => getAsset(name, "utf8") } : null;
