/** What takes the place of programs that would do something by themselves inside of a quarantine: mail is dropped and counted, schedules are held. */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runToolWell } from "../run-tool.ts";

const SHORT_MS = 60_000;
/** A file for each mail, without what stood in it. */
const MAIL = "/var/spool/coldkeep-drill-mail";

const SENDMAIL = `#!/bin/sh
# Mail goes nowhere during a drill: it is taken, dropped and counted.
cat >/dev/null
: >"$(mktemp ${MAIL}/XXXXXXXXXX)"
`;

/** Starts and answers to its script as the program does, and does nothing. */
function held(pidFile: string): string {
  return `#!/bin/sh
# Schedules are held during a drill.
setsid sleep infinity </dev/null >/dev/null 2>&1 &
echo $! >${pidFile}
`;
}

const STAND_INS: Record<string, string> = {
  "/usr/sbin/sendmail": SENDMAIL,
  "/usr/sbin/cron": held("/run/crond.pid"),
  "/usr/sbin/crond": held("/run/crond.pid"),
  "/usr/sbin/atd": held("/run/atd.pid"),
  "/usr/sbin/anacron": "#!/bin/sh\n# Schedules are held during a drill.\n",
};

/** Puts them into a root that nothing was installed into yet. Packages that bring such a program leave it beside them (dpkg-divert(1)). */
export async function placeStandIns(root: string, signal: AbortSignal): Promise<void> {
  mkdirSync(join(root, MAIL), { recursive: true });
  chmodSync(join(root, MAIL), 0o1777);
  for (const [path, script] of Object.entries(STAND_INS)) {
    await runToolWell({ argv: ["chroot", root, "dpkg-divert", "--local", "--no-rename", "--divert", `${path}.held`, "--add", path], timeoutMs: SHORT_MS, signal });
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), script, { mode: 0o755 });
  }
}

/** How many mails were dropped. */
export function mailsDropped(root: string): number {
  try {
    return readdirSync(join(root, MAIL)).length;
  } catch {
    return 0;
  }
}
