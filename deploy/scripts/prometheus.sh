#!/usr/bin/env bash
# prometheus.sh TARGET puts the programs prometheus and promtool into the folder
# TARGET. They come from Debian's package, pinned by its hash.
set -euo pipefail

version=2.42.0+ds-5+deb12u1
package_sha256=81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55
target=$1

say() { printf '%s\n' "$*" >&2; }

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null || [ "$(uname -sm)" != "Linux x86_64" ]; then
	say "No pinned Prometheus for this machine: set PROMETHEUS_DIR to a folder with prometheus and promtool 2.42 or later."
	exit 1
fi

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "Fetching Prometheus $version (19 MB) …"
# download takes options of apt-get.
download() { (cd "$work" && apt-get -q "$@" download "prometheus=$version" >>log 2>&1); }
# The machine's lists of packages may be empty or old, and are root's to renew.
own=(-o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
if ! download; then
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	if ! apt-get -q "${own[@]}" update >>"$work/log" 2>&1 || ! download "${own[@]}"; then
		cat "$work/log" >&2
		say "Set PROMETHEUS_DIR to a folder with prometheus and promtool 2.42 or later."
		exit 1
	fi
fi
echo "$package_sha256  $(echo "$work"/*.deb)" | sha256sum --check --quiet >&2
dpkg-deb -x "$work"/*.deb "$work/unpacked"
rm -rf "$target"
mkdir "$target"
mv "$work/unpacked/usr/bin/prometheus" "$work/unpacked/usr/bin/promtool" "$target"
