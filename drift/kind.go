package drift

import "fmt"

// Kind says what a feature is, and with it which values are binned and which
// test alarms.
type Kind string

// The kinds of features.
const (
	// Numeric is one number a row.
	Numeric Kind = "numeric"
	// Categorical is one whole number or text of a known set.
	Categorical Kind = "categorical"
	// Boolean is true or false.
	Boolean Kind = "boolean"
	// TextLength is how many characters (Unicode code points) a text has.
	TextLength Kind = "text-length"
	// Tensor is many numbers a row, seen through summary scalars and seeded
	// random projections.
	Tensor Kind = "tensor"
	// Class is the predicted class: the position of the largest score.
	Class Kind = "class"
	// Confidence is the probability of the predicted class.
	Confidence Kind = "confidence"
	// Score is one number of an answer.
	Score Kind = "score"
)

func (k Kind) valid() bool {
	switch k {
	case Numeric, Categorical, Boolean, TextLength, Tensor, Class, Confidence, Score:
		return true
	}
	return false
}

// ordered reports whether bins have an order, so that "up" means something.
func (k Kind) ordered() bool { return k != Categorical && k != Class && k != Boolean }

// UnmarshalText reads a kind and refuses any other word.
func (k *Kind) UnmarshalText(text []byte) error {
	if *k = Kind(text); !k.valid() {
		return fmt.Errorf("unknown kind %q", clip(string(text)))
	}
	return nil
}

// Side says where a feature is read.
type Side string

// The sides of a model.
const (
	Input  Side = "input"
	Output Side = "output"
)

// UnmarshalText reads a side and refuses any other word.
func (s *Side) UnmarshalText(text []byte) error {
	if *s = Side(text); *s != Input && *s != Output {
		return fmt.Errorf("unknown side %q: want input or output", clip(string(text)))
	}
	return nil
}

// Scores says how the numbers of a classifier's answer are to be read.
type Scores string

// The ways to read class scores.
const (
	// Probabilities are at least 0 and sum to 1.
	Probabilities Scores = "probabilities"
	// Logits become probabilities by softmax.
	Logits Scores = "logits"
)

// UnmarshalText reads a way and refuses any other word.
func (s *Scores) UnmarshalText(text []byte) error {
	if *s = Scores(text); *s != Probabilities && *s != Logits {
		return fmt.Errorf("unknown scores %q: want probabilities or logits", clip(string(text)))
	}
	return nil
}

// clip shortens text from a file for an error message.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
