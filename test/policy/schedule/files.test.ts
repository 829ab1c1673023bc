/** The text of units and crontabs, judged by the shell that runs it; systemd's own judgement is in systemd.server.test.ts. */
import { spawnSync } from "node:child_process";
import { basename } from "node:path";
import { expect, test } from "vitest";
import { cronFile, readCronFile } from "../../../src/policy/schedule/crontab.ts";
import { choicesOf, marker, ownerOf } from "../../../src/policy/schedule/plan.ts";
import { systemdFiles, unitStem } from "../../../src/policy/schedule/systemd-units.ts";
import { AWKWARD, awkwardPlan, makePlan } from "./plans.ts";

const isRoot = process.geteuid?.() === 0;

test("systemd passes the command line on as it was meant", () => {
  const [service] = systemdFiles(awkwardPlan);
  // As systemd.service(5) takes it apart: quotes, then backslashes, then %% and $$.
  const line = /^ExecStart=(.*)$/m.exec(service?.text ?? "")?.[1] ?? "";
  const words = [...line.matchAll(/"((?:\\.|[^"\\])*)"|(\S+)/g)].map(([, quoted, bare]) => (quoted?.replaceAll(/\\(.)/g, "$1") ?? bare ?? "").replaceAll("%%", "%").replaceAll("$$", "$"));
  expect(words).toEqual([...awkwardPlan.program, "backup", "--config", "/etc/coldkeep/coldkeep.yaml"]);
});

test("units hide nothing from the backup and leave it what it writes", () => {
  const [service] = systemdFiles(makePlan());
  const lines = service?.text.split("\n").filter((line) => !line.startsWith("#")) ?? [];
  expect(lines.filter((line) => /^(?:Private|Inaccessible|Hide|ProtectHome|ProtectKernelModules|ProtectProc|DevicePolicy|MemoryDeny|TemporaryFileSystem)/.test(line))).toEqual([]);
  expect(lines).toEqual(expect.arrayContaining(["StateDirectory=coldkeep", "ReadWritePaths=-/etc/coldkeep/keys -/mnt/usb/vault", "SuccessExitStatus=6", "User=root"]));
  const [ofUser] = systemdFiles(makePlan({ choices: { user: "coldkeep" } }));
  expect(ofUser?.text).toMatch(/^User=coldkeep\n#.*\nAmbientCapabilities=CAP_DAC_READ_SEARCH\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH$/m);
  expect(ofUser?.text).not.toContain("CacheDirectory=coldkeep\n");
});

test("no two jobs or hosts share a unit or a crontab", () => {
  expect(unitStem("web1", "verify")).not.toBe(unitStem("web1-verify", "backup"));
  expect(cronFile(makePlan({ host: "a.b" })).path).not.toBe(cronFile(makePlan({ host: "a-b" })).path);
  // Debian's cron skips any other name.
  expect(basename(cronFile(makePlan()).path)).toMatch(/^[A-Za-z0-9_-]+$/);
});

/** What cron hands to the shell: \% becomes %, and an unescaped one would end the command. */
function commandsOf(text: string): string[] {
  const lines = text.split("\n").filter((line) => /^\d/.test(line));
  return lines.map((line) => {
    const command = line.split(" ").slice(6).join(" ");
    expect(command.replaceAll("\\%", "")).not.toContain("%");
    return command.replaceAll("\\%", "%");
  });
}

test("the shell passes the command line on as it was meant, as root and as another user", () => {
  for (const user of isRoot ? ["root", "daemon"] : ["root"]) {
    const { text } = cronFile({ ...awkwardPlan, choices: { user } });
    const [backup, verify] = commandsOf(text).map((command) => spawnSync("/bin/sh", ["-c", command], { encoding: "utf8" }));
    expect(backup).toMatchObject({ status: 0, stderr: "", stdout: `${AWKWARD}/coldkeep.js backup --config /etc/coldkeep/coldkeep.yaml\n` });
    expect(verify).toMatchObject({ status: 0, stderr: "", stdout: `${AWKWARD}/coldkeep.js verify --config /etc/coldkeep/coldkeep.yaml --sample 5%\n` });
  }
});

test.each([
  ["exit 0", 0, "", ""],
  ["echo kit is here; exit 0", 0, "kit is here\n", ""],
  ["echo one; echo 100% gone >&2; exit 3", 3, "one\n100% gone\n", ""],
  ["echo another run; exit 6", 0, "", ""],
])("from cron, %j", (script, status, stdout, stderr) => {
  const plan = makePlan({ program: ["sh", "-c", script], jobs: makePlan().jobs.slice(0, 1) });
  const [command = ""] = commandsOf(cronFile(plan).text);
  expect(spawnSync("/bin/sh", ["-c", command], { encoding: "utf8" })).toMatchObject({ status, stdout, stderr });
});

test("a crontab is read back, and a line cron would cut off is refused", () => {
  const jobs = readCronFile(cronFile(makePlan()).text);
  expect(jobs.map(({ kind, slot }) => [kind, slot.days])).toEqual([["backup", [1, 2, 3, 4, 5, 6, 7]], ["verify", [7]]]);
  expect(() => cronFile(makePlan({ program: [`/${"x".repeat(900)}`] }))).toThrow(expect.objectContaining({ code: "E_CONFIG", hint: expect.stringContaining("--systemd") }));
});

test("a file says whose it is in its first line, and in its second what it was made with", () => {
  for (const choices of [{ at: "Mon..Fri 02:30", user: "coldkeep" }, { at: undefined, user: "root" }]) {
    const plan = makePlan({ choices });
    for (const { text } of [...systemdFiles(plan), cronFile(plan)]) expect(choicesOf(text)).toEqual(choices);
  }
  expect(choicesOf("# mine\n# Installed with: --user")).toBeUndefined();
  for (const { text } of [...systemdFiles(makePlan()), cronFile(makePlan())]) {
    expect(ownerOf(text, "/etc/coldkeep/coldkeep.yaml")).toBe("ours");
    expect(ownerOf(text, "/etc/other.yaml")).toBe("other-configuration");
    expect(ownerOf(`# mine\n${text}`, "/etc/coldkeep/coldkeep.yaml")).toBe("foreign");
  }
  expect(ownerOf("", "/a")).toBe("foreign");
  expect(marker("/a")).not.toContain("\n");
});
