/**
 * Runs as `sh -euc SCRIPT hearth-jail ROOT COUNT PATH... -- COMMAND...` inside fresh user, mount, network, IPC and process
 * namespaces. Builds a file system of nothing but the system's libraries, the paths given and a few device nodes, all read-only,
 * makes it the root, and starts COMMAND in an empty folder. COMMAND itself drops the capabilities that building took.
 *
 * `remount,bind` and not `remount`: the options of a tmpfs name the user by ids that this namespace does not map.
 * No `nodev` on /dev paths, or the GPU's nodes could not be opened.
 */
export const JAIL_SCRIPT = `
jail=$1 count=$2
shift 2
mount -t tmpfs -o mode=755,size=512k,nosuid,nodev hearth "$jail"
show() {
  if [ -d "$1" ]; then
    mkdir -p "$jail$1"
  elif [ ! -e "$jail$1" ]; then
    mkdir -p "$jail\${1%/*}"
    : > "$jail$1"
  fi
  case $1 in
    /dev/*) mount --bind "$1" "$jail$1" ;;
    /sys) mount --rbind "$1" "$jail$1" ;;
    *) mount --bind "$1" "$jail$1"; mount -o remount,bind,ro,nosuid,nodev "$jail$1" ;;
  esac
}
while [ "$count" -gt 0 ]; do
  path=$1 count=$((count - 1))
  shift
  [ -e "$path" ] || continue
  if [ -L "$path" ]; then
    mkdir -p "$jail\${path%/*}"
    ln -s "$(readlink "$path")" "$jail$path"
  else
    show "$path"
  fi
done
shift
mkdir -p "$jail/proc" "$jail/empty"
mount -t proc -o nosuid,nodev,noexec,ro proc "$jail/proc"
mount -o remount,bind,ro,nosuid,nodev "$jail"
exec chroot "$jail" /bin/sh -c 'cd /empty; exec "$@"' hearth-jail "$@"
`;
