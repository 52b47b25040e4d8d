#!/bin/sh
# Makes what deploy/Dockerfile makes, in a folder and without a container engine: a minimal Debian 12,
# deploy/install.sh in it, and a server as scripts/sandboxed.sh runs it. Prints the size. Needs root,
# debootstrap, Debian's and Python's package servers, 3 GB of disk and some minutes.
#
#   scripts/try_image.sh FOLDER [PIPELINE]
#
# A folder that is there is taken as made before. MIRROR is Debian's, WHEELS a folder of wheels that
# pip may take too; EXTRAS and TORCH_INDEX are those of deploy/install.sh.
set -eu

root=${1:?"which folder to make the file system in"}
pipeline=${2:-nugraph3}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
authorities=/etc/ssl/certs/ca-certificates.crt

if [ ! -e "$root" ]; then
  debootstrap --variant=minbase bookworm "$root" "${MIRROR:-http://deb.debian.org/debian}"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  # What makes a Debian image the slim one.
  for what in doc info locale man; do
    echo "path-exclude /usr/share/$what/*" >>"$root/etc/dpkg/dpkg.cfg.d/slim"
    rm -rf "${root:?}/usr/share/$what"
  done
  mkdir "$root/src"
  tar -C "$here" -cf - --exclude=__pycache__ \
    constraints.txt pyproject.toml hatch_build.py README.md LICENSE src scripts/sbom.py \
    deploy/install.sh | tar -C "$root/src" -xf -
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # The authorities that this machine trusts, for networks with one of their own.
  cp "$authorities" "$root/src/authorities.crt"
  mkdir "$root/src/wheels"
  [ -z "${WHEELS:-}" ] || cp "$WHEELS"/*.whl "$root/src/wheels"
  mount --bind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  status=0
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin PIP_CERT=/src/authorities.crt \
    PIP_FIND_LINKS=/src/wheels \
    EXTRAS="${EXTRAS:-all}" TORCH_INDEX="${TORCH_INDEX-https://download.pytorch.org/whl/cpu}" \
    sh /src/deploy/install.sh /src /opt/naiad || status=$?
  umount "$root/dev" "$root/proc"
  rm -rf "$root/src"
  [ "$status" -eq 0 ] || exit "$status"
fi
echo "the file system: $(du -sm "$root" | cut -f 1) MB, of which the base" \
  "$(du -sm --exclude="$root/opt" "$root" | cut -f 1) MB"

"$here/scripts/sandboxed.sh" "$root" \
  tini -- naiad serve "$pipeline" --instances 1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
tries=0
until chroot "$root" python3 -c \
  'import urllib.request as u; u.urlopen("http://127.0.0.1:8003/readyz", timeout=4)' 2>/dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -ge 180 ] || ! kill -0 "$server"; then
    echo "it was never ready" >&2
    exit 1
  fi
  sleep 1
done
"$here/scripts/sandboxed.sh" "$root" naiad models
kill "$server"
wait "$server"
trap - EXIT
echo "$pipeline was served by a user without rights on a file system without writes"
