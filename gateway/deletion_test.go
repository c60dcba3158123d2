package gateway

import (
	"slices"
	"testing"
	"time"
)

func TestAModelGoesOnlyAfterItsGraceAndNeverMostOfThemAtOnce(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	gone := func(names ...string) (out []missing) {
		for _, n := range names {
			out = append(out, missing{model: n, since: start})
		}
		return out
	}
	named := func(m []missing) []missing {
		for i := range m {
			m[i].named = true
		}
		return m
	}
	guarded := func(m []missing) []missing {
		for i := range m {
			m[i].guarded = true
		}
		return m
	}
	for name, c := range map[string]struct {
		gone   []missing
		models int
		grace  time.Duration
		now    time.Time
		remove []string
		kept   []string
		next   time.Time
	}{
		"nothing missing":                {nil, 3, time.Minute, at(0), nil, nil, time.Time{}},
		"within grace":                   {gone("a"), 3, time.Minute, at(59), nil, nil, at(60)},
		"after grace":                    {gone("a"), 3, time.Minute, at(60), []string{"a"}, nil, time.Time{}},
		"the only model":                 {gone("a"), 1, time.Minute, at(60), []string{"a"}, nil, time.Time{}},
		"half of four":                   {gone("a", "b"), 4, time.Minute, at(60), []string{"a", "b"}, nil, time.Time{}},
		"more than half":                 {gone("a", "b"), 3, time.Minute, at(600), nil, []string{"a", "b"}, time.Time{}},
		"all":                            {gone("a", "b"), 2, time.Minute, at(600), nil, []string{"a", "b"}, time.Time{}},
		"all, named":                     {named(gone("a", "b")), 2, time.Minute, at(60), []string{"a", "b"}, nil, time.Time{}},
		"all, one named":                 {append(named(gone("a")), gone("b")...), 2, time.Minute, at(60), []string{"a"}, []string{"b"}, time.Time{}},
		"named ones have a grace too":    {named(gone("a", "b")), 2, time.Minute, at(10), nil, nil, at(60)},
		"no grace switches off both":     {gone("a", "b"), 2, 0, at(0), []string{"a", "b"}, nil, time.Time{}},
		"one named among most, in grace": {append(named(gone("a")), gone("b")...), 2, time.Minute, at(1), nil, []string{"b"}, at(60)},
		"the last of those kept before":  {guarded(gone("a")), 1, time.Minute, at(600), nil, []string{"a"}, time.Time{}},
		"kept before, named since":       {named(guarded(gone("a"))), 1, time.Minute, at(600), []string{"a"}, nil, time.Time{}},
		"kept before, no grace any more": {guarded(gone("a", "b")), 2, 0, at(600), []string{"a", "b"}, nil, time.Time{}},
	} {
		remove, kept, next := deletions(c.gone, c.models, c.grace, c.now)
		if !slices.Equal(remove, c.remove) || !slices.Equal(kept, c.kept) || !next.Equal(c.next) {
			t.Errorf("%s: remove %v, keep %v, next %v, want %v %v %v", name, remove, kept, next, c.remove, c.kept, c.next)
		}
	}
}
