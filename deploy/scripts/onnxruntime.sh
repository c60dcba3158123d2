#!/usr/bin/env bash
# Puts libonnxruntime into the cache folder and prints its path. Fetches the
# pinned version once, from PyPI (pip) or, where pip is missing, from npm.
# ONNXRUNTIME_LIB wins: then nothing is fetched.
set -euo pipefail

version=1.31.1
wheel_sha256=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
npm_version=1.30.0
npm_sha256=6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75

say() { printf '%s\n' "$*" >&2; }

if [ -n "${ONNXRUNTIME_LIB:-}" ]; then
	[ -r "$ONNXRUNTIME_LIB" ] || { say "ONNXRUNTIME_LIB=$ONNXRUNTIME_LIB cannot be read"; exit 1; }
	printf '%s\n' "$ONNXRUNTIME_LIB"
	exit 0
fi

cache=${SEGUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/segue}
for found in "$cache/onnxruntime/$version/libonnxruntime.so.$version" "$cache/onnxruntime/$npm_version/libonnxruntime.so.$npm_version"; do
	if [ -r "$found" ]; then
		printf '%s\n' "$found"
		exit 0
	fi
done

if [ "$(uname -sm)" != "Linux x86_64" ]; then
	say "No pinned libonnxruntime for $(uname -sm): set ONNXRUNTIME_LIB to a libonnxruntime of version 1.29 or later."
	exit 1
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/onnxruntime.XXXXXX")
trap 'rm -rf "$work"' EXIT

# install VERSION FILE moves the library into place in one step.
install_library() {
	mkdir -p "$cache/onnxruntime/$1"
	mv "$2" "$cache/onnxruntime/$1/libonnxruntime.so.$1"
	printf '%s\n' "$cache/onnxruntime/$1/libonnxruntime.so.$1"
}

if python3 -m pip --version >/dev/null 2>&1; then
	say "Fetching ONNX Runtime $version from PyPI (24 MB) …"
	printf 'onnxruntime==%s --hash=sha256:%s\n' "$version" "$wheel_sha256" >"$work/requirements.txt"
	python3 -m pip download --progress-bar on --no-deps --require-hashes --only-binary :all: \
		--python-version 3.11 --implementation cp --platform manylinux_2_28_x86_64 \
		--dest "$work" --requirement "$work/requirements.txt" >&2
	python3 - "$work" <<-'PY'
		import pathlib, sys, zipfile
		work = pathlib.Path(sys.argv[1])
		(wheel,) = work.glob("*.whl")
		with zipfile.ZipFile(wheel) as z:
		    (name,) = [n for n in z.namelist() if n.startswith("onnxruntime/capi/libonnxruntime.so")]
		    (work / "libonnxruntime.so").write_bytes(z.read(name))
	PY
	install_library "$version" "$work/libonnxruntime.so"
elif command -v npm >/dev/null 2>&1; then
	say "pip is missing: fetching ONNX Runtime $npm_version from npm (114 MB) …"
	(cd "$work" && npm pack --silent "onnxruntime-node@$npm_version" >&2)
	echo "$npm_sha256  $work/onnxruntime-node-$npm_version.tgz" | sha256sum --check --quiet >&2
	tar -xzf "$work/onnxruntime-node-$npm_version.tgz" -C "$work" package/bin/napi-v6/linux/x64/libonnxruntime.so.1
	install_library "$npm_version" "$work/package/bin/napi-v6/linux/x64/libonnxruntime.so.1"
else
	say "Neither pip nor npm is here to fetch libonnxruntime. Install one (Debian, Ubuntu: apt install python3-pip),"
	say "or set ONNXRUNTIME_LIB to a libonnxruntime.so of version 1.29 or later."
	exit 1
fi
