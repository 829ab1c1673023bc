/** In which order services are started where no systemd does it: what a unit asks to start after, first. */

/** Units this program neither starts nor changes: they belong to the machine, not to what it serves. */
const MACHINE_UNITS = /^(?:systemd-|getty|serial-getty|console-|user@|user-runtime|dbus|networking|NetworkManager|ifup|netplan|cloud-|local-fs|remote-fs|keyboard-|kmod|udev|init\b|rc-|initrd|plymouth|emergency|rescue|grub|apt-daily|dpkg-db|e2scrub|fstrim|man-db|modprobe@|proc-|sys-|dev-|dracut|hwclock|sudo\b|procps\b|blk-availability|lvm2|mdmonitor|coldkeep-)/;

export function isMachineUnit(unit: string): boolean {
  return MACHINE_UNITS.test(unit) || /\.(?:target|slice|scope|mount|swap|device|path|automount)$/.test(unit);
}

/** What the text of a unit file says it starts after. */
export function startsAfter(unitText: string): string[] {
  return unitText.split("\n").flatMap((line) => (/^(?:After|Requires|Wants|BindsTo)=/.test(line) ? line.slice(line.indexOf("=") + 1).trim().split(/\s+/) : []));
}

/** The same of a script in /etc/init.d (LSB's header). */
export function scriptStartsAfter(script: string): string[] {
  return script.split("\n").flatMap((line) => {
    const names = /^#\s*(?:Required|Should)-Start:\s*(.*)$/.exec(line)?.[1];
    return names === undefined ? [] : names.trim().split(/\s+/).filter((name) => name !== "" && !name.startsWith("$")).map((name) => `${name}.service`);
  });
}

/** `units` so that each comes after those it names in `after`, as far as that can be; else as they came. */
export function startOrder(units: readonly string[], after: ReadonlyMap<string, readonly string[]>): string[] {
  const wanted = new Set(units);
  const ordered = new Set<string>();
  const open = new Set<string>();
  const visit = (unit: string): void => {
    // A circle is left where it closes.
    if (!wanted.has(unit) || ordered.has(unit) || open.has(unit)) return;
    open.add(unit);
    for (const other of after.get(unit) ?? []) visit(other);
    ordered.add(unit);
  };
  for (const unit of units) visit(unit);
  return [...ordered];
}
