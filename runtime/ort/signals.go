package ort

// #include "signals.h"
import "C"

// signals are the handlers that the process had before a library could put
// others in their place.
type signals struct{ saved C.segue_signals }

func saveSignals() *signals {
	s := &signals{}
	C.segue_signals_save(&s.saved)
	return s
}

// restore undoes what libraries did to the handlers since, and returns how many
// it was. A fault of Go's own before that ends the process.
func (s *signals) restore() int { return int(C.segue_signals_restore(&s.saved)) }
