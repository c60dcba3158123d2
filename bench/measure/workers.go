package measure

import (
	"maps"
	"sync"

	"github.com/segue-serving/segue/bench/load"
)

// workerHeader names the process that answered, where a peer says it.
const workerHeader = "Bench-Worker"

// workers counts the answers of each process of a peer.
type workers struct {
	mu      sync.Mutex
	answers map[string]int64
}

// note is called with every answer, by many goroutines. Peers that do not name
// their processes, and the gateway, cost nothing but the look.
func (w *workers) note(a load.Answer) {
	name := a.Header(workerHeader)
	if len(name) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers == nil {
		w.answers = map[string]int64{}
	}
	w.answers[string(name)]++
}

func (w *workers) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.answers)
}

// counts is how many answers came from each process.
func (w *workers) counts() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.answers)
}
