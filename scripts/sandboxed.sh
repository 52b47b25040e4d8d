#!/bin/sh
# Runs a command as the containers of deploy/ are meant to be run: as user 10001, without
# capabilities or ways to new ones, on a root file system that nobody can write to, with /tmp, /cache
# and a /dev/shm of its own. Needs to be root; no container engine.
#
#   scripts/sandboxed.sh ROOT COMMAND...
#
# ROOT is the root file system: a folder, or / for this machine's own. CAPABILITIES are kept, none by
# default (+dac_read_search: to read what is in other users' home folders).
set -eu

root=${1:?"the root file system"}
shift
# The inner shell is given all as arguments; nothing in it is expanded here.
# shellcheck disable=SC2016
exec unshare --mount sh -euc '
  root=$1 kept=$2
  shift 2
  mount --make-rprivate /
  mount --bind "$root" /mnt
  mount -o remount,bind,ro /mnt
  mount --rbind /dev /mnt/dev
  mount -t proc proc /mnt/proc
  # As the file systems of engines are: code is run from the cache only.
  mount -t tmpfs -o size=1g,mode=1777,noexec tmpfs /mnt/tmp
  mount -t tmpfs -o size=1g,mode=1777,noexec tmpfs /mnt/dev/shm
  cache=/cache
  test -d /mnt/cache || cache=/tmp/cache
  mkdir -p "/mnt$cache"
  mount -t tmpfs -o size=1g,mode=1777 tmpfs "/mnt$cache"
  exec chroot /mnt env \
    HOME=/tmp TMPDIR=/tmp NAIAD_CACHE="$cache" PYTHONDONTWRITEBYTECODE=1 \
    PATH="/opt/naiad/bin:/usr/local/bin:/usr/bin:/bin" \
    setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --bounding-set "-all$kept" --inh-caps "-all$kept" --ambient-caps "-all$kept" "$@"
' sandboxed "$root" "${CAPABILITIES:+,$CAPABILITIES}" "$@"
