#!/usr/bin/env bash
# Installs the Python programs that tests and benchmarks run, each folder's
# pinned packages into an environment of its own in the cache, and prints the
# path of each one's bin folder.
#
#   deploy/scripts/venv.sh deploy/parts/mlflow
#   deploy/scripts/venv.sh bench/peers/*
set -euo pipefail

cache=${SEGUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/segue}
python=${PYTHON:-python3}

for folder in "$@"; do
	pins=$folder/requirements.txt
	name=$(basename "$(dirname "$(realpath "$folder")")")-$(basename "$folder")
	[ -r "$pins" ] || { echo "$pins cannot be read" >&2; exit 2; }
	venv=$cache/venv/$name-$(sha256sum "$pins" | cut -c1-12)
	if [ ! -e "$venv/.ready" ]; then
		echo "Installing $folder …" >&2
		"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: the pins are for it")' >&2
		rm -rf "$venv"
		mkdir -p "$cache/venv"
		# --without-pip with the machine's own pip: works where ensurepip is not packaged.
		"$python" -m venv --without-pip "$venv"
		"$python" -m pip --python "$venv/bin/python" install --quiet --no-deps --only-binary :all: --require-hashes -r "$pins" >&2
		touch "$venv/.ready"
	fi
	printf '%s\n' "$venv/bin"
done
