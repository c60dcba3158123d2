package rollout

const (
	// classes is how many classes are told apart; the last is all others.
	classes = 65
	masks   = 1 << ratioGuards

	// What one gateway keeps of callers: at most 90 kB when encoded.
	canarySample = 4096
	stableSample = 2048
	badUnits     = 1024
	shadowUnits  = 1024

	// maxBins bounds the histogram of run times: 1 % wide, a microsecond to
	// 300 s.
	maxBins = 1024
	// maxName bounds the names of rollouts and writers.
	maxName = 128
)

// Evidence is what one writer has seen of one rollout: the counts of its newest
// step, and which callers were counted in any. It is immutable. Its size is
// bounded whatever the traffic; Encode makes at most MaxEncoded bytes.
//
// A writer is one life of one gateway: a restarted one has another name and
// begins at nothing, and the evidence of its former life goes on counting beside
// it. So nothing is counted twice, and nothing is lost.
type Evidence struct {
	// Rollout is the plan's ID.
	Rollout string
	// Writer is the gateway's name and its epoch.
	Writer string
	// Seq orders the snapshots of one writer.
	Seq uint64
	// Step is the step that the counts are of.
	Step int

	requests [2]armCounts
	shadow   [2]uint64 // agreed, disagreed
	quality  [2]Mean
	runs     []bin // of stable in this step
	sample   [2]table
	bad      [ratioGuards]table
	copies   table
}

// armCounts are one arm's counts of requests without a caller.
type armCounts struct {
	judged [masks]uint64 // by the set of ratio guards that judged them
	bad    [ratioGuards]uint64
	class  [classes]uint64
}

// of is how many requests a guard has judged.
func (c *armCounts) of(g Guard) uint64 {
	n := uint64(0)
	for mask, count := range c.judged {
		if mask>>g&1 == 1 {
			n += count
		}
	}
	return n
}

func (c *armCounts) add(o *armCounts) {
	for i, n := range o.judged {
		c.judged[i] += n
	}
	for i, n := range o.bad {
		c.bad[i] += n
	}
	for i, n := range o.class {
		c.class[i] += n
	}
}

// tables are all tables of callers in the order of their encoding.
func (e *Evidence) tables() []*table {
	all := []*table{&e.sample[0], &e.sample[1], &e.copies}
	for i := range e.bad {
		all = append(all, &e.bad[i])
	}
	return all
}

// capacities are how many rows each of the tables may have.
func capacities() []int {
	all := []int{stableSample, canarySample, shadowUnits}
	for range ratioGuards {
		all = append(all, badUnits)
	}
	return all
}

// Units is how many callers the evidence lists.
func (e *Evidence) Units() int {
	n := 0
	for _, t := range e.tables() {
		n += len(t.rows)
	}
	return n
}

// Total is the evidence of the whole fleet in one step of a rollout.
type Total struct {
	// Step is the step.
	Step int
	// Writers is how many writers' evidence is in it, whichever step they are
	// at.
	Writers int

	requests [2]armCounts
	shadow   [2]uint64
	quality  [2]Mean
	runs     sketch
	canary   table // sampled callers of the canary alone, less thinned
	sample   table // of both
	bad      [ratioGuards]table
	copies   table
}

// Merge adds up the evidence of one step. Evidence of other rollouts does not
// count, and of one writer only the newest; so neither the order nor repetition
// matters. Counts are those of writers that are at this step; callers counted in
// earlier steps are remembered whoever counted them. Requests without a caller
// add up exactly, callers that several gateways met count once.
func (p *Plan) Merge(step int, evidence ...*Evidence) *Total {
	t := &Total{Step: step}
	newest := p.newest(evidence)
	t.Writers = len(newest)
	var canary, sample, copies []table
	var bad [ratioGuards][]table
	for _, e := range newest {
		if e.Step == step {
			for arm := range t.requests {
				t.requests[arm].add(&e.requests[arm])
			}
			t.shadow[0] += e.shadow[0]
			t.shadow[1] += e.shadow[1]
		}
		for arm := range t.quality {
			t.quality[arm] = t.quality[arm].Plus(e.quality[arm])
		}
		t.runs.addBins(e.runs)
		canary = append(canary, e.sample[1])
		sample = append(sample, e.sample[0], e.sample[1])
		copies = append(copies, e.copies)
		for g := range bad {
			bad[g] = append(bad[g], e.bad[g])
		}
	}
	t.canary, t.sample, t.copies = unite(canary...), unite(sample...), unite(copies...)
	for g := range bad {
		t.bad[g] = unite(bad[g]...)
	}
	return t
}

// newest is each writer's newest evidence of this rollout, sorted by writer, so
// that sums of floating-point numbers do not depend on the order either.
func (p *Plan) newest(evidence []*Evidence) []*Evidence {
	by := map[string]*Evidence{}
	for _, e := range evidence {
		if e == nil || e.Rollout != p.ID {
			continue
		}
		if old, ok := by[e.Writer]; !ok || e.Seq > old.Seq {
			by[e.Writer] = e
		}
	}
	return sortedValues(by)
}

// Quality is what feedback says of the stable version or of the canary, over
// the whole rollout.
func (t *Total) Quality(canary bool) Mean { return t.quality[arm(canary)] }

// Requests is how many requests or callers of an arm were judged in the step.
func (t *Total) Requests(canary bool) int {
	n := float64(t.requests[arm(canary)].of(Errors))
	from := t.sample
	if canary {
		from = t.canary
	}
	for _, r := range from.rows {
		if r.position() == t.Step+1 && r.canary() == canary {
			n += from.scale()
		}
	}
	return int(n)
}

func arm(canary bool) int {
	if canary {
		return 1
	}
	return 0
}

// cellsOf groups what counted in the step by the probability with which it was
// assigned: requests by the step's, callers by theirs given where they were
// counted before. counts says whether a row is one.
func (p *Plan) cellsOf(t *Total, canary, stable uint64, from table, counts func(row) bool) []cell {
	w := p.Share(t.Step)
	cells := make([]cell, 1, 4)
	cells[0] = cell{w, float64(canary), float64(stable)}
	at := map[int]int{0: 0}
	for _, r := range from.rows {
		if r.position() != t.Step+1 || r.before() == spent || !counts(r) {
			continue
		}
		i, ok := at[r.before()]
		if !ok {
			// Weights only rise and assignments only move to the canary, so
			// of those that stable still had at v, (w−v)/(1−v) have moved.
			v := p.Share(r.before() - 1)
			i, at[r.before()] = len(cells), len(cells)
			cells = append(cells, cell{w: max(0, w-v) / (1 - v)})
		}
		if r.canary() {
			cells[i].canary++
		} else {
			cells[i].stable++
		}
	}
	return cells
}

// level0 is the part of alpha that holds while a guard's table of callers has
// not been halved; each halving, being another process, has half of the rest.
const level0 = 0.9

func levelShare(level int) float64 {
	if level == 0 {
		return level0
	}
	return (1 - level0) / float64(uint64(1)<<min(level, 63))
}
