/** How a machine drifted from its profile: each kind of change by its lasting name. */
import { describe, expect, test } from "vitest";
import type { Profile } from "../../src/format/profile.ts";
import { driftOf } from "../../src/policy/drift.ts";
import { OLD } from "./profile-example.ts";

const port = (number: number, unit: string): Profile["ports"][number] => ({ protocol: "tcp", address: "0.0.0.0", port: number, process: "p", unit, package: "" });

describe("drift", () => {
  test("is empty between a profile and itself, also when only times, fullness and devices differ", () => {
    const later: Profile = { ...OLD, takenAt: "2026-11-21T00:00:00Z", mounts: OLD.mounts.map((mount) => ({ ...mount, device: "/dev/sda1", usedBytes: 1 })), hardware: { ...OLD.hardware, peakMemoryBytes: 5 } };
    expect(driftOf(OLD, OLD)).toEqual([]);
    expect(driftOf(OLD, later)).toEqual([]);
  });

  test("names packages, files, units, users, ports, mounts and settings", () => {
    const user = { name: "eve", uid: 1001, gid: 1001, comment: "", home: "/home/eve", shell: "/bin/sh", system: false };
    const before: Profile = { ...OLD, ports: [port(80, "nginx.service")], units: [{ name: "nginx.service", state: "enabled", active: true }], configuration: [{ path: "/etc/a", sha256: "1" }] };
    const after: Profile = {
      ...before,
      packages: { ...OLD.packages, installed: [{ name: "nginx", version: "1.26", arch: "amd64", manual: true }, { name: "jq", version: "1", arch: "amd64", manual: true }], aptFiles: [{ path: "/etc/apt/sources.list.d/x.list", mode: 0o644, base64: "eA==" }] },
      ports: [port(8080, "nginx.service"), port(40_000, "session-1.scope")],
      units: [{ name: "nginx.service", state: "disabled", active: false }],
      users: [user],
      mounts: OLD.mounts.slice(0, 1),
      sysctl: [{ key: "vm.swappiness", value: "10" }],
      configuration: [{ path: "/etc/a", sha256: "2" }],
    };
    expect(driftOf(before, after).map(({ kind, change, name, before: was, after: is }) => [kind, change, name, was, is])).toEqual([
      ["package", "added", "jq:amd64", "", "1"],
      ["package", "changed", "nginx:amd64", "1.22.1-9", "1.26"],
      ["source", "added", "/etc/apt/sources.list.d/x.list", "", ""],
      ["configuration", "changed", "/etc/a", "", ""],
      ["unit", "changed", "nginx.service", "enabled", "disabled"],
      ["user", "added", "eve", "", "1001:1001 /home/eve /bin/sh"],
      ["port", "removed", "tcp 0.0.0.0:80", "nginx.service", ""],
      ["port", "added", "tcp 0.0.0.0:8080", "", "nginx.service"],
      ["mount", "removed", "/srv", "xfs", ""],
      ["sysctl", "added", "vm.swappiness", "", "10"],
    ]);
  });

  test("says nothing of what could not be found out on either side", () => {
    const after: Profile = { ...OLD, units: [{ name: "x.service", state: "enabled", active: false }], gaps: [{ what: "units", why: "systemd does not run here" }] };
    expect(driftOf(OLD, after)).toEqual([]);
  });
});
