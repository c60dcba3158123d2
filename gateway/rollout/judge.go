package rollout

import (
	"math"

	"github.com/segue-serving/segue/configs"
)

// Judgement are the numbers of one guard in one step. Logarithms are natural
// and finite.
type Judgement struct {
	Guard Guard
	// LnE is the evidence that the canary is worse than tolerated; at Threshold
	// it is taken back.
	LnE, Threshold float64
	// PromoteLnE is the evidence that the canary is good enough; at
	// PromoteThreshold the guard lets the step go. Both are 0 for a guard that
	// has no say in that: classes, and shadow once the canary has weight.
	PromoteLnE, PromoteThreshold float64
	// Events are the canary's bad events among its Units: requests, or callers
	// where traffic is sticky. Where a table of callers was halved they are
	// those of what is left. For classes they are those of the class with the
	// largest evidence, Class.
	Events, Units             int
	StableEvents, StableUnits int
	// Class is the class with the largest evidence, for the classes guard: 64
	// stands for all from 64 on. Fewer reports that the canary predicts it less
	// often than stable, and not more often.
	Class int
	Fewer bool
	// Lacking is how many more of the canary's units without any bad event
	// would let the step go; 0 where the guard is content, or has no say.
	Lacking int
}

// Worse reports that the canary is to be taken back.
func (j Judgement) Worse() bool { return j.LnE >= j.Threshold }

// Content reports that the guard lets the step go.
func (j Judgement) Content() bool { return j.PromoteLnE >= j.PromoteThreshold }

// Evidence is the judgement as documents of decisions carry it.
func (j Judgement) Evidence() configs.GuardEvidence {
	return configs.GuardEvidence{
		Name: j.Guard.String(), LnE: j.LnE, Threshold: j.Threshold,
		PromoteLnE: j.PromoteLnE, PromoteThreshold: j.PromoteThreshold,
		Events: j.Events, Units: j.Units, StableEvents: j.StableEvents, StableUnits: j.StableUnits,
	}
}

// Shares of the two ways to prove a canary good. A canary that is worse than
// tolerated by both measures passes with a probability of at most promote_alpha,
// as the average of two processes is one.
const (
	rareShare  = 0.75
	ratioShare = 1 - rareShare
)

// judge is what one guard makes of the evidence.
func (p *Plan) judge(g Guard, t *Total) Judgement {
	switch g {
	case Classes:
		return p.judgeClasses(t)
	case Shadow:
		return p.judgeShadow(t)
	}
	return p.judgeRatio(g, t)
}

func (p *Plan) judgeRatio(g Guard, t *Total) Judgement {
	limits := p.ratios[g]
	canary, stable := &t.requests[1], &t.requests[0]
	j := Judgement{Guard: g}
	j.Threshold = p.threshold(t.Step, t.bad[g].level)
	cells := p.cellsOf(t, canary.bad[g], stable.bad[g], t.bad[g], func(row) bool { return true })
	for _, c := range cells {
		j.StableEvents += int(c.stable)
	}
	j.LnE = finite(lnWorse(cells, limits.tolerated))

	n, bad := p.rates(g, t)
	j.Units, j.Events = int(n), int(bad)
	j.StableUnits = int(t.unitsOf(g, false))
	j.PromoteThreshold = -math.Log(p.PromoteAlpha)
	proof := func(n float64) float64 { return limits.proof(n, bad, cells) }
	j.PromoteLnE = finite(proof(n))
	j.Lacking = lacking(n, j.PromoteThreshold, proof)
	return j
}

// proof is the logarithm of the evidence that the canary is good enough: that
// its rate of bad events is low, or that the ratio to stable's is.
func (r ratio) proof(n, bad float64, cells []cell) float64 {
	return lnSum([]float64{
		math.Log(rareShare) + lnBelow(n, bad, r.rate),
		math.Log(ratioShare) + lnNotWorse(cells, r.excluded),
	})
}

// rates is how many of the canary's units a guard has judged in the step, and
// how many of them had a bad event in it.
func (p *Plan) rates(g Guard, t *Total) (n, bad float64) {
	level := max(t.canary.level, t.bad[g].level)
	bound := uint64(1) << (hashBits - level)
	for _, r := range t.canary.rows {
		if r.hash() < bound && r.position() == t.Step+1 && r.canary() && r.judged(g) {
			n++
		}
	}
	for _, r := range t.bad[g].rows {
		if r.hash() < bound && r.position() == t.Step+1 && r.canary() {
			bad++
		}
	}
	return n + float64(t.requests[1].of(g)), bad + float64(t.requests[1].bad[g])
}

// unitsOf is how many units of an arm a guard has judged in the step.
func (t *Total) unitsOf(g Guard, canary bool) float64 {
	n := float64(t.requests[arm(canary)].of(g))
	for _, r := range t.sample.rows {
		if r.position() == t.Step+1 && r.canary() == canary && r.judged(g) {
			n++
		}
	}
	return n
}

// judgeClasses averages one process per class and direction. The number of
// processes is fixed: had it grown with the classes that are seen, their
// average would be no supermartingale.
func (p *Plan) judgeClasses(t *Total) Judgement {
	j := Judgement{Guard: Classes, Threshold: p.threshold(t.Step, t.sample.level)}
	var cells [classes][]cell
	for k := range cells {
		cells[k] = []cell{{p.Share(t.Step), float64(t.requests[1].class[k]), float64(t.requests[0].class[k])}}
	}
	p.addClassCells(t, &cells)
	l := make([]float64, 0, 2*classes)
	top := math.Inf(-1)
	for k, of := range cells {
		more := lnWorse(of, p.classRatio)
		fewer := lnWorse(swapped(of), p.classRatio)
		l = append(l, more, fewer)
		var events, stable float64
		for _, c := range of {
			events, stable = events+c.canary, stable+c.stable
		}
		j.Units, j.StableUnits = j.Units+int(events), j.StableUnits+int(stable)
		if best := max(more, fewer); best > top && events+stable > 0 {
			top, j.Class, j.Fewer, j.Events, j.StableEvents = best, k, fewer > more, int(events), int(stable)
		}
	}
	j.LnE = finite(lnMean(l))
	return j
}

// addClassCells adds the sampled callers to the cells of the classes.
func (p *Plan) addClassCells(t *Total, cells *[classes][]cell) {
	var by [classes][]row
	for _, r := range t.sample.rows {
		if r.position() == t.Step+1 && r.class() != silent {
			by[r.class()] = append(by[r.class()], r)
		}
	}
	for k, rows := range by {
		if len(rows) > 0 {
			cells[k] = append(cells[k], p.cellsOf(t, 0, 0, table{rows: rows}, func(row) bool { return true })...)
		}
	}
}

// swapped is the cells with the arms' parts exchanged.
func swapped(cells []cell) []cell {
	other := make([]cell, len(cells))
	for i, c := range cells {
		other[i] = cell{1 - c.w, c.stable, c.canary}
	}
	return other
}

func (p *Plan) judgeShadow(t *Total) Judgement {
	j := Judgement{Guard: Shadow, Threshold: p.threshold(t.Step, t.copies.level)}
	n, bad := float64(t.shadow[0]+t.shadow[1]), float64(t.shadow[1])
	for _, r := range t.copies.rows {
		if r.position() == t.Step+1 {
			n++
			bad += float64(r.class())
		}
	}
	j.Units, j.Events = int(n), int(bad)
	j.LnE = finite(lnAbove(n, bad, p.disagreement))
	// Twice what is tolerated has to be ruled out, where there is such a rate.
	if q := 2 * p.disagreement; t.Step == ShadowStep && q < 1 {
		j.PromoteThreshold = -math.Log(p.PromoteAlpha)
		proof := func(n float64) float64 { return lnBelow(n, bad, q) }
		j.PromoteLnE = finite(proof(n))
		j.Lacking = lacking(n, j.PromoteThreshold, proof)
	}
	return j
}

// threshold is ln 1/α of a guard's part of alpha in a step.
func (p *Plan) threshold(step, level int) float64 {
	return -math.Log(p.alpha(step) * levelShare(level))
}

// lacking is how much larger n has to become for the proof to reach the
// threshold.
func lacking(n, threshold float64, proof func(float64) float64) int {
	if proof(n) >= threshold {
		return 0
	}
	low, high := 0, 1
	for proof(n+float64(high)) < threshold {
		if low, high = high, 2*high; high > 1<<40 {
			return high
		}
	}
	for high-low > 1 {
		if middle := low + (high-low)/2; proof(n+float64(middle)) < threshold {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// finite bounds a logarithm, so that it has a form in JSON and in metrics.
func finite(l float64) float64 { return min(max(l, -1e6), 1e6) }
