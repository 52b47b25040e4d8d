#!/bin/sh
# Puts Naiad onto a Debian 12 or an Ubuntu, as root: what deploy/Dockerfile and deploy/apptainer.def
# are made of, and scripts/try_image.sh tries without either.
#
#   deploy/install.sh SOURCE PREFIX
#
# SOURCE is this repository, PREFIX the folder of the virtual environment. EXTRAS are Naiad's (all);
# TORCH_INDEX is pip's index of torch, by default that of its CPU builds: PyPI's (TORCH_INDEX=) has
# CUDA and is several gigabytes larger.
set -eu

source=${1:?"the folder of the repository"}
prefix=${2:?"the folder to install to"}
extras=${EXTRAS:-all}
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends ca-certificates python3 python3-venv tini
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# What Triton's Python backend is linked with; Debian has it in a package of its own.
apt-get install -y --no-install-recommends "libpython$version"

python3 -m venv "$prefix"
install() {
  "$prefix/bin/pip" install --no-cache-dir --disable-pip-version-check --no-input \
    --constraint "$source/constraints.txt" "$@"
}
install ${index:+--extra-index-url "$index"} torch
install "${source}[$extras]"

# Naiad's front, built here as the image has no compiler.
apt-get install -y --no-install-recommends g++
"$prefix/bin/python" - "$prefix" <<'END'
import shutil
import sys
import tempfile
from pathlib import Path

from naiad.triton.front.build import build

with tempfile.TemporaryDirectory() as folder:
    shutil.copy(build(Path(folder)), Path(sys.argv[1], "lib", "naiad-front.so"))
END
apt-get purge -y --auto-remove g++
rm -rf /var/lib/apt/lists/* /var/cache/apt/*

# What only compilers and tests of others need.
packages="$prefix/lib/python$version/site-packages"
rm -rf "$packages/torch/include" "$packages/torch/share" "$packages/torch/test"
find "$packages/torch/bin" -type f ! -name torch_shm_manager -delete
find "$packages" -type d -name tests -prune -exec rm -rf {} +

# Who serves, and where: everything else may be read-only.
groupadd --gid 10001 naiad
useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin naiad
mkdir -p /cache
chown 10001:10001 /cache
