package configs

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestVersionsAreOrderedAsPeopleOrderThem(t *testing.T) {
	want := []string{"01", "1", "2", "9", "10", "10-a", "10.1", "10.2", "10.10", "100", "a", "a2", "a10", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, CompareVersions)
	if !slices.Equal(got, want) {
		t.Errorf("sorted %q, want %q", got, want)
	}
}

func TestVersionOrderIsTotal(t *testing.T) {
	name := rapid.StringMatching(`[0-2a.-]{0,5}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := name.Draw(t, "a"), name.Draw(t, "b"), name.Draw(t, "c")
		if CompareVersions(a, b) != -CompareVersions(b, a) {
			t.Fatalf("%q and %q compare as %d and %d", a, b, CompareVersions(a, b), CompareVersions(b, a))
		}
		if (CompareVersions(a, b) == 0) != (a == b) {
			t.Fatalf("%q and %q tie", a, b)
		}
		if CompareVersions(a, b) <= 0 && CompareVersions(b, c) <= 0 && CompareVersions(a, c) > 0 {
			t.Fatalf("%q, %q, %q do not order", a, b, c)
		}
	})
}
