package artifact

import (
	"fmt"
	"slices"

	"github.com/segue-serving/segue/runtime"
)

// Compatibility says what the callers of one version have to change for
// another.
type Compatibility string

// What a signature is to that of the version before.
const (
	// Same: the same inputs and outputs, in the same order.
	Same Compatibility = "same"
	// Compatible: whoever calls the version before is answered, and finds in
	// the answer all that was there.
	Compatible Compatibility = "compatible"
	// Breaking: some caller is refused, or misses something in the answer.
	Breaking Compatibility = "breaking"
)

// CompareVersions says what a signature is to that of the version before, and
// every difference, those that break first. A version may ask for less and
// give more, never the other way round:
//
//	inputs                               outputs
//	another order        compatible      another order        compatible
//	added                breaking        added                compatible
//	removed              breaking        removed              breaking
//	another type         breaking        another type         breaking
//	another rank         breaking        another rank         breaking
//	fixed → dynamic      compatible      dynamic → fixed      compatible
//	dynamic → fixed      breaking        fixed → dynamic      breaking
//	another fixed size   breaking        another fixed size   breaking
//
// An input with a default in the model is in no signature: it comes and goes
// as it likes. A removed input breaks because a request that gives it is
// refused.
func CompareVersions(before, after *runtime.Signature) (is Compatibility, differences []string) {
	var breaking, compatible []string
	for _, part := range []struct {
		kind          string
		before, after []runtime.TensorSpec
		output        bool
	}{{"input", before.Inputs, after.Inputs, false}, {"output", before.Outputs, after.Outputs, true}} {
		for _, old := range part.before {
			at := slices.IndexFunc(part.after, func(s runtime.TensorSpec) bool { return s.Name == old.Name })
			if at < 0 {
				breaking = append(breaking, fmt.Sprintf("%s %q is gone", part.kind, old.Name))
				continue
			}
			what, breaks := compareTensorSpecs(old, part.after[at], part.output)
			switch {
			case what == "":
			case breaks:
				breaking = append(breaking, fmt.Sprintf("%s %q %s", part.kind, old.Name, what))
			default:
				compatible = append(compatible, fmt.Sprintf("%s %q %s", part.kind, old.Name, what))
			}
		}
		for _, added := range part.after {
			if slices.ContainsFunc(part.before, func(s runtime.TensorSpec) bool { return s.Name == added.Name }) {
				continue
			}
			if part.output {
				compatible = append(compatible, fmt.Sprintf("output %q is new", added.Name))
			} else {
				breaking = append(breaking, fmt.Sprintf("input %q is new, and every request has to give it", added.Name))
			}
		}
		if len(breaking) == 0 && !inOrder(part.before, part.after) {
			compatible = append(compatible, part.kind+"s are in another order")
		}
	}
	switch {
	case len(breaking) > 0:
		return Breaking, append(breaking, compatible...)
	case len(compatible) > 0:
		return Compatible, compatible
	}
	return Same, nil
}

// compareTensorSpecs says how two of one name differ, empty where they do not,
// and whether that breaks.
func compareTensorSpecs(before, after runtime.TensorSpec, output bool) (what string, breaks bool) {
	if before.Type != after.Type {
		return fmt.Sprintf("was %s and is %s", before.Type, after.Type), true
	}
	if slices.Equal(before.Shape, after.Shape) {
		return "", false
	}
	what = fmt.Sprintf("had shape %s and has %s", runtime.FormatShape(before.Shape), runtime.FormatShape(after.Shape))
	if len(before.Shape) != len(after.Shape) {
		return what, true
	}
	for d, was := range before.Shape {
		is := after.Shape[d]
		// What may only be taken more widely, or given more narrowly.
		open := is
		if output {
			open = was
		}
		if was != is && open != runtime.Dynamic {
			return what, true
		}
	}
	return what, false
}

// inOrder reports that what is in before comes in the same order in after,
// whatever is between and behind.
func inOrder(before, after []runtime.TensorSpec) bool {
	at := -1
	for _, s := range before {
		next := slices.IndexFunc(after, func(other runtime.TensorSpec) bool { return other.Name == s.Name })
		if next < at {
			return false
		}
		at = next
	}
	return true
}
