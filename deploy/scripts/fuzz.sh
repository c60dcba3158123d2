#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each. What it finds
# lies in the package's testdata/fuzz and is committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/../.."

duration=${1:-60s}
targets=$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|/[^/]*\.go:func | |')
total=$(wc -l <<<"$targets")
n=0
while read -r package target; do
	n=$((n + 1))
	printf '[%d/%d] %s %s for %s\n' "$n" "$total" "$package" "$target" "$duration"
	go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$duration" -fuzzminimizetime 20x
done <<<"$targets"
