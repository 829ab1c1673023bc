/** The flags every verb takes, as the help and the shell completions name them. */

export type GlobalFlag = { readonly short?: string; readonly long: string; readonly help: string; /** Absent for a mere flag. */ readonly placeholder?: string };

export const GLOBAL_FLAGS: readonly GlobalFlag[] = [
  { short: "-q", long: "--quiet", help: "say nothing but warnings and errors" },
  { short: "-v", long: "--verbose", help: "say more" },
  { long: "--log-file", placeholder: "FILE", help: "also append to this file what is said, as lines of JSON" },
  { long: "--debug", help: "with an error, print where in the program it arose" },
  { long: "--no-color", help: "no colours on a terminal (also with NO_COLOR set)" },
];
export const HELP_FLAG: GlobalFlag = { short: "-h", long: "--help", help: "print this help" };
export const VERSION_FLAG: GlobalFlag = { short: "-V", long: "--version", help: "print the version" };

/** `-q, --quiet`, `--log-file <FILE>`. */
export function flagNames({ short, long, placeholder }: GlobalFlag): string {
  const names = short === undefined ? long : `${short}, ${long}`;
  return placeholder === undefined ? names : `${names} <${placeholder}>`;
}
