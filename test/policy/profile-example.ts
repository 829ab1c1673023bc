/** A profile as a small server has it, and a machine that could take its place. */
import { Profile } from "../../src/format/profile.ts";
import type { Here } from "../../src/policy/adequacy.ts";
import { GIB } from "../../src/units.ts";

export const OLD: Profile = Profile.parse({
  takenAt: "2026-11-20T02:30:00.000Z",
  hostName: "web1",
  os: { id: "debian", versionId: "12", codename: "bookworm", name: "Debian GNU/Linux 12 (bookworm)" },
  hardware: { arch: "amd64", kernel: "6.1.0-28-amd64", virtualization: "kvm", cpus: 4, memoryBytes: 8 * GIB, swapBytes: GIB },
  mounts: [
    { path: "/", device: "/dev/vda1", type: "ext4", sizeBytes: 40 * GIB, usedBytes: 10 * GIB },
    { path: "/srv", device: "/dev/vdb1", type: "xfs", sizeBytes: 200 * GIB, usedBytes: 100 * GIB },
  ],
  packages: { manager: "apt", installed: [{ name: "nginx", version: "1.22.1-9", arch: "amd64", manual: true }], holds: [], aptFiles: [] },
  firewall: null,
});

export const FIT: Here = {
  os: { id: "debian", versionId: "12", name: "Debian GNU/Linux 12 (bookworm)" },
  arch: "amd64",
  cpus: 4,
  memoryBytes: 8 * GIB,
  swapBytes: 0,
  mounts: [{ path: "/", type: "ext4", freeBytes: 300 * GIB, isReadOnly: false }],
  isRoot: true,
  hasApt: true,
};
