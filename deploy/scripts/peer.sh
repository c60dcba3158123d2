#!/usr/bin/env bash
# Installs peers that the benchmark measures against (folders of bench/peers)
# into the cache, each with its pinned packages in an environment of its own,
# and prints the path of each one's Python.
#
#   deploy/scripts/peer.sh fastapi mlserver
set -euo pipefail

cache=${SEGUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/segue}
python=${PYTHON:-python3}
folder=$(dirname "$0")/../../bench/peers

for peer in "$@"; do
	pins=$folder/$peer/requirements.txt
	[ -r "$pins" ] || { echo "no peer $peer: $pins cannot be read" >&2; exit 2; }
	venv=$cache/venv/peer-$peer-$(sha256sum "$pins" | cut -c1-12)
	if [ ! -e "$venv/.ready" ]; then
		echo "Installing the peer $peer …" >&2
		"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: the pins are for it")' >&2
		rm -rf "$venv"
		mkdir -p "$cache/venv"
		# --without-pip with the machine's own pip: works where ensurepip is not packaged.
		"$python" -m venv --without-pip "$venv"
		"$python" -m pip --python "$venv/bin/python" install --quiet --no-deps --only-binary :all: --require-hashes -r "$pins" >&2
		touch "$venv/.ready"
	fi
	printf '%s\n' "$venv/bin/python"
done
