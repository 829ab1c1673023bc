/** What a rebuild leaves as the new machine has it: restored over it, it could no longer be reached, booted or told apart. */

/** Paths (with all below them) that are not restored. */
export type Untouched = {
  what: string;
  paths: readonly string[];
  /** Whether a person should compare what was archived with what is there. */
  review: boolean;
};

export const UNTOUCHED: readonly Untouched[] = [
  {
    what: "network",
    review: true,
    paths: ["/etc/network", "/etc/netplan", "/etc/NetworkManager", "/etc/systemd/network", "/etc/systemd/resolved.conf", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/etc/dhcp", "/etc/dhcpcd.conf", "/etc/wpa_supplicant"],
  },
  { what: "file systems", review: true, paths: ["/etc/fstab", "/etc/crypttab", "/etc/mdadm", "/etc/lvm", "/etc/zfs"] },
  { what: "boot and kernel", review: true, paths: ["/boot", "/etc/default/grub", "/etc/default/grub.d", "/etc/grub.d", "/etc/kernel", "/etc/initramfs-tools", "/etc/dracut.conf", "/etc/dracut.conf.d"] },
  { what: "kernel modules", review: false, paths: ["/lib/modules", "/usr/lib/modules", "/lib/firmware", "/usr/lib/firmware"] },
  { what: "release", review: false, paths: ["/etc/os-release", "/usr/lib/os-release", "/etc/debian_version", "/etc/lsb-release", "/etc/issue", "/etc/issue.net"] },
  { what: "machine's identity", review: false, paths: ["/etc/machine-id", "/var/lib/dbus/machine-id", "/var/lib/systemd/random-seed", "/var/lib/cloud", "/etc/udev/rules.d/70-persistent-net.rules"] },
  {
    what: "accounts, which are merged",
    review: false,
    paths: ["/etc/passwd", "/etc/passwd-", "/etc/group", "/etc/group-", "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/subuid", "/etc/subuid-", "/etc/subgid", "/etc/subgid-", "/etc/.pwd.lock"],
  },
  {
    what: "package database and sources, which the packages step sees to",
    review: false,
    paths: ["/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/var/lib/ucf", "/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/apt/trusted.gpg", "/etc/apt/trusted.gpg.d", "/etc/apt/preferences", "/etc/apt/preferences.d"],
  },
  { what: "the kernel's own and temporary files", review: false, paths: ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/run", "/var/lock", "/lost+found", "/etc/mtab", "/etc/ld.so.cache", "/var/cache/ldconfig"] },
];

/** What starts this program by itself, as patterns: held until somebody takes the host over. */
export const HELD_SCHEDULE: readonly string[] = ["/etc/systemd/system/coldkeep-*.timer", "/etc/systemd/system/timers.target.wants/coldkeep-*.timer", "/etc/cron.d/coldkeep-*"];

const KERNEL_AND_BOOT = /^(?:linux-(?:image|headers|modules|kbuild|compiler|config|perf|tools)(?:-|$)|grub(?:-|2|$)|shim(?:-|$)|efibootmgr$|initramfs-tools|dracut|mokutil$|systemd-boot|.*-microcode$|cloud-init$|raspi-firmware$)/;

/** Whether a package belongs to kernel, boot or the place a machine runs in: the new machine has its own. */
export function isMachineBound(packageName: string): boolean {
  return KERNEL_AND_BOOT.test(packageName);
}
