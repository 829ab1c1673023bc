/**
 * What makes a quarantine, in the words of util-linux. The first script runs with this machine's tools in new namespaces, builds the
 * file systems, and leaves this machine's root behind; the second is process 1 of what is inside.
 */

/**
 * Rights that nothing inside has, root included: what reaches beyond the namespaces. Without `sys_admin` no mount of this script can
 * be changed or undone; without `dac_read_search` no file of this machine can be opened by its handle.
 */
export const DROPPED_RIGHTS = ["sys_admin", "sys_module", "sys_rawio", "sys_boot", "sys_time", "sys_pacct", "syslog", "mac_admin", "mac_override", "audit_control", "wake_alarm", "perfmon", "bpf", "block_suspend", "dac_read_search", "linux_immutable"] as const;

/** Where a process has to start that shall be inside: after it, the program and its arguments. */
export const DROP_RIGHTS = ["setpriv", `--bounding-set=${DROPPED_RIGHTS.map((name) => `-${name}`).join(",")}`, "--inh-caps=-all", "--"] as const;

/**
 * Process 1: reaps whatever is orphaned, and ends, and with it everything inside, when the other end of its stdin closes. Only the
 * program that made the quarantine holds that end, so the kernel closes it however that program ends.
 */
const INIT = `umount -l /.coldkeep-old && rmdir /.coldkeep-old && exec ${DROP_RIGHTS.join(" ")} /bin/sh -c '
cat <&3 >/dev/null &
echo ready
exec 1>&- 2>&-
wait $!'`;

/** Arguments: root, host name, `none` or `shared` for the network, then for each place that shows inside: its path here, its path inside, and \`ro\` or \`rw\`. */
export const SET_UP = `set -e
root=$1 name=$2 network=$3
shift 3
exec 3<&0 </dev/null
umask 022
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,nodev "$root"
cd "$root"
mkdir -p proc sys dev run tmp .coldkeep-old
mount -t proc -o nosuid,nodev,noexec proc proc
for each in sys irq bus fs acpi; do
  [ -d "proc/$each" ] || continue
  mount --bind "proc/$each" "proc/$each"
  mount -o remount,bind,ro,nosuid,nodev,noexec "proc/$each"
done
for each in sysrq-trigger kcore keys timer_list latency_stats; do
  [ -e "proc/$each" ] && mount --bind /dev/null "proc/$each"
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys || mount -t tmpfs -o ro,nosuid,nodev,noexec tmpfs sys
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs run
mkdir run/lock && chmod 1777 run/lock
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs tmp
mount -t tmpfs -o nosuid,nodev,noexec,mode=0755,size=1m tmpfs dev
for each in null zero full random urandom tty; do
  : >"dev/$each"
  mount --bind "/dev/$each" "dev/$each"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,nosuid,noexec,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for each in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/\${each#*:}" "dev/\${each%:*}"; done
while [ $# -ge 3 ]; do
  if [ -d "$1" ]; then mkdir -p "./$2"; else mkdir -p "$(dirname "./$2")"; [ -e "./$2" ] || : >"./$2"; fi
  mount --bind "$1" "./$2"
  mount -o "remount,bind,nosuid,nodev,$3" "./$2"
  shift 3
done
hostname "$name"
[ "$network" = shared ] || ip link set lo up
pivot_root . .coldkeep-old
exec chroot . /bin/sh -c "$INIT"`;

export const INIT_ENV = { INIT } as const;
