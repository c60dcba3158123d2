#!/usr/bin/env bash
# Puts libonnxruntime for CUDA, with the CUDA and cuDNN libraries that it was
# built for, into the cache folder (about 1.6 GB to fetch) and prints the two
# settings with which the gateway and the tests find them:
#
#   eval "$(deploy/scripts/onnxruntime-cuda.sh)"
#
# A driver for CUDA 13 must be there already; nvidia-smi says which it is.
set -euo pipefail

version=1.31.1
cache=${SEGUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/segue}
# Not below onnxruntime/, where a library for the CPU is looked for by itself.
venv=$cache/onnxruntime-cuda/$version

say() { printf '%s\n' "$*" >&2; }

if [ ! -e "$venv/complete" ]; then
	if [ "$(uname -sm)" != "Linux x86_64" ]; then
		say "There is no onnxruntime-gpu $version for $(uname -sm): set ONNXRUNTIME_LIB to a libonnxruntime built for CUDA."
		exit 1
	fi
	say "Fetching ONNX Runtime $version for CUDA from PyPI (1.6 GB) …"
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --only-binary :all: "onnxruntime-gpu[cuda,cudnn]==$version" >&2
	touch "$venv/complete"
fi

packages=$(echo "$venv"/lib/python3*/site-packages)
libraries=$(find "$packages/nvidia" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
library=$(find "$packages/onnxruntime/capi" -name 'libonnxruntime.so*' | head -n 1)
[ -n "$library" ] || { say "The wheel holds no libonnxruntime.so."; exit 1; }
printf 'export ONNXRUNTIME_LIB=%q\n' "$library"
printf 'export LD_LIBRARY_PATH=%q\n' "$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
