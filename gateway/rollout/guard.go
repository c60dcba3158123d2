package rollout

import "strings"

// Guard is one promise that a canary is held to.
type Guard uint8

// The guards. The first four compare rates of bad events, and only they can
// prove a canary good.
const (
	Errors Guard = iota
	NonFinite
	Slow
	Feedback
	Classes
	Shadow
	guards
)

// ratioGuards is the number of guards that compare rates of bad events.
const ratioGuards = int(Feedback) + 1

// String is the guard's field in configs.Guards.
func (g Guard) String() string {
	return [...]string{"errors", "nonfinite", "slow", "feedback", "classes", "shadow"}[g]
}

// Guards is a set of guards.
type Guards uint8

// Of is the set of these guards.
func Of(guards ...Guard) Guards {
	var s Guards
	for _, g := range guards {
		s |= 1 << g
	}
	return s
}

// Has reports that the guard is in the set.
func (s Guards) Has(g Guard) bool { return s>>g&1 == 1 }

// With is the set and one more guard.
func (s Guards) With(g Guard) Guards { return s | 1<<g }

// String names the guards of the set, separated by commas.
func (s Guards) String() string {
	var names []string
	for g := range guards {
		if s.Has(g) {
			names = append(names, g.String())
		}
	}
	return strings.Join(names, ",")
}

// ratios is the part of the set that compares rates of bad events.
func (s Guards) ratios() int { return int(s) & (1<<ratioGuards - 1) }
