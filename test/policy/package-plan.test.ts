/** Which packages come back, in which version. */
import { expect, test } from "vitest";
import { type PackagesHere, planPackages } from "../../src/policy/package-plan.ts";

const was = (name: string, version: string, manual = true, arch = "amd64"): { name: string; version: string; arch: string; manual: boolean } => ({ name, version, arch, manual });
const here = (installed: Record<string, string>, available: Record<string, string[]>): PackagesHere => ({ arch: "amd64", installed: new Map(Object.entries(installed)), available: new Map(Object.entries(available)) });

test("the exact version where it can be had, else what apt takes, and it is said", () => {
  const plan = planPackages({ installed: [was("nginx", "1.22-1"), was("nodejs", "18.1")], holds: [] }, here({}, { nginx: ["1.24-1", "1.22-1"], nodejs: ["20.0"] }));
  expect(plan.install).toEqual([{ name: "nginx", version: "1.22-1", manual: true }, { name: "nodejs", version: null, manual: true }]);
  expect(plan.differing).toEqual([{ name: "nodejs", was: "18.1", is: "20.0" }]);
});

test("what somebody asked for and nobody has is unavailable; what was drawn in has successors", () => {
  const plan = planPackages({ installed: [was("acme-agent", "3"), was("libold1", "1", false)], holds: ["acme-agent"] }, here({}, {}));
  expect(plan.unavailable).toEqual([{ name: "acme-agent", version: "3" }]);
  expect(plan.superseded).toEqual(["libold1"]);
  expect(plan.holds).toEqual([]);
});

test("kernel, boot and microcode are the new machine's own", () => {
  const names = ["linux-image-6.1.0-20-amd64", "linux-image-amd64", "grub-pc", "grub2-common", "shim-signed", "initramfs-tools-core", "intel-microcode", "linux-headers-amd64", "cloud-init"];
  const plan = planPackages({ installed: [...names, "linuxlogo", "grubby", "linux-libc-dev"].map((name) => was(name, "1")), holds: [] }, here({}, { linuxlogo: ["1"], grubby: ["1"], "linux-libc-dev": ["1"] }));
  expect(plan.leftOut).toEqual(names);
  expect(plan.install.map(({ name }) => name)).toEqual(["linuxlogo", "grubby", "linux-libc-dev"]);
});

test("another architecture has its own label, and is made known to dpkg", () => {
  const plan = planPackages({ installed: [was("libc6", "2.36", false), was("libc6", "2.36", false, "i386"), was("tzdata", "2024", true, "all")], holds: ["tzdata"] }, here({ libc6: "2.36", tzdata: "2025" }, { "libc6:i386": ["2.36"] }));
  expect(plan.architectures).toEqual(["i386"]);
  expect(plan.install).toEqual([{ name: "libc6:i386", version: "2.36", manual: false }]);
  expect(plan).toMatchObject({ present: 2, differing: [{ name: "tzdata", was: "2024", is: "2025" }], holds: ["tzdata"] });
});
