#!/bin/sh
# Installs Naiad on Debian 12 or Ubuntu, as root. deploy/Dockerfile and deploy/apptainer.def run this,
# and scripts/try_image.sh tries it without either.
#
#   deploy/install.sh SOURCE PREFIX
#
# SOURCE is this repository, PREFIX the folder of the virtual environment. EXTRAS are Naiad's extras
# (all); TORCH_INDEX is pip's index for torch, by default that of the CPU builds: those of PyPI
# (TORCH_INDEX=) have CUDA and are several gigabytes larger.
set -eu

source=${1:?"the folder of the repository"}
prefix=${2:?"the folder to install to"}
extras=${EXTRAS:-all}
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends ca-certificates python3 python3-venv tini
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# Triton's stub, which runs a repository's own model.py, is linked with it.
apt-get install -y --no-install-recommends "libpython$version"

python3 -m venv "$prefix"
install() {
  "$prefix/bin/pip" install --no-cache-dir --no-compile --disable-pip-version-check --no-input \
    --constraint "$source/constraints.txt" "$@"
}
install ${index:+--extra-index-url "$index"} torch
install "${source}[$extras]"

# Use the base image's Triton if it has one, as NVIDIA's do.
if [ -x /opt/tritonserver/bin/tritonserver ]; then
  ln -s /opt/tritonserver "$prefix/engine"
else
  PIP_NO_CACHE_DIR=1 "$prefix/bin/naiad" engine install --output "$prefix/engine"
fi

apt-get install -y --no-install-recommends binutils  # strip
# Strip symbols that only debuggers need, except in *.libs, whose libraries were patched when their
# wheels were made.
packages="$prefix/lib/python$version/site-packages"
find "$packages" -path '*.libs/*' -prune -o -type f -name '*.so*' -size +1M \
  -exec strip --strip-unneeded {} +
apt-get purge -y --auto-remove binutils
rm -rf /var/lib/apt/lists/* /var/cache/apt/*

# Remove headers, others' tests, and the engine's files for other Pythons.
rm -rf "$packages/torch/include" "$packages/torch/share" "$packages/torch/test" \
  "$packages/pyarrow/include"
find "$packages/torch/bin" -type f ! -name torch_shm_manager -delete
find "$packages" -type d -name tests -prune -exec rm -rf {} +
stubs="$prefix/engine/pytriton/tritonserver/python_backend_stubs"
if [ -d "$stubs" ] && [ "$version" != 3.13 ]; then
  find "$stubs" -mindepth 1 -maxdepth 1 ! -name "$version" -exec rm -rf {} +
  rm -f "$prefix"/engine/nvidia_pytriton.libs/libpython3*  # Python 3.13's
fi

# Keep bytecode only of modules that serving applications imports. Each is set up and answers its
# example, which also shows that nothing it needs is missing.
find "$packages" -type d -name __pycache__ -prune -exec rm -rf {} +
NAIAD_CACHE=$(mktemp -d)
export NAIAD_CACHE
"$prefix/bin/python" - <<'END'
import naiad.cli.main
import naiad.cli.serve
import naiad.triton.reaper
import naiad.triton.serving
from naiad.errors import WeightsError
from naiad.application import applications
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load

for application in applications():
    try:
        load(Spec(application.name))
    except (ImportError, WeightsError) as error:  # not among EXTRAS, or without a default
        print(f"{application.name}: {error}")
END
rm -rf "$NAIAD_CACHE"

# The serving user and its folder; everything else may be read-only.
groupadd --gid 10001 naiad
useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin naiad
mkdir -p /cache
chown 10001:10001 /cache
