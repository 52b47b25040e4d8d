#!/bin/sh
# Makes Naiad's Python environment for NVIDIA's Triton container, as a folder to mount into it.
#
#   deploy/triton-environment.sh FOLDER [EXTRAS] [PYTHON] [HOME]
#
# EXTRAS are Naiad's extras (nugraph3), PYTHON is the container's version (3.10 for Triton 24.10,
# 3.12 from 24.11 on), HOME the folder of its python3 (/usr/bin). Needs `uv` (pip install uv), but not
# conda-pack, a container engine or that Python. TORCH_INDEX is pip's index for torch, by default that
# of the CPU builds. Then:
#
#   docker run --rm --shm-size 1g -p 8000-8002:8000-8002 \
#     -v $PWD/models:/models:ro -v $PWD/FOLDER:/naiad:ro nvcr.io/nvidia/tritonserver:24.10-py3 \
#     bash -c 'PATH=/naiad/bin:$PATH exec tritonserver --model-repository=/models'
#
# Triton's Python backend runs the first python3 on PATH and ignores PYTHONPATH (seen in 2.51), so the
# folder is a virtual environment of the container's Python, with packages installed from here.
set -eu

folder=${1:?"usage: deploy/triton-environment.sh FOLDER [EXTRAS] [PYTHON] [HOME]"}
extras=${2-nugraph3}
version=${3:-3.10}
home=${4:-/usr/bin}
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

if [ -e "$folder" ]; then
  echo "$folder exists; choose a new folder" >&2
  exit 1
fi
command -v uv >/dev/null || { echo "uv is needed: pip install uv" >&2; exit 1; }

mkdir -p "$folder/bin"
ln -s "$home/python3" "$folder/bin/python3"
printf 'home = %s\nversion = %s\ninclude-system-site-packages = false\n' "$home" "$version" \
  >"$folder/pyvenv.cfg"
uv pip install \
  --target "$folder/lib/python$version/site-packages" \
  --python-version "$version" --python-platform x86_64-manylinux_2_35 --only-binary :all: --no-binary naiad \
  --constraint "$source/constraints.txt" ${index:+--extra-index-url "$index"} \
  --index-strategy unsafe-best-match "numpy<2" "naiad[$extras] @ $source"
