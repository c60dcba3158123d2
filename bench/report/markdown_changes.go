package report

import "fmt"

func changesPage(p *page, r *Result) {
	c := r.Changes
	p.say("A gateway follows a Consul agent and answers golden requests of `%s` (%s over %s, %d bytes each) in an open loop: requests are",
		c.Model, c.Protocol, c.Transport, c.RequestBytes)
	p.say("due at %s arrivals of %s a second, %s %% of what the slower version answers, and a latency counts from when the request was due,",
		c.Arrivals, short(c.Offered), short(100*c.Load))
	p.say("so a stall of the gateway shows in every request that it delays. Capacity in a closed loop of %d connections:", c.CapacityConnections)
	for i, v := range c.Versions {
		p.say("version %s %s a second%s", v, spread(c.Capacity[i]), map[bool]string{true: ".", false: ","}[i == len(c.Versions)-1])
	}
	p.say("")
	for _, phase := range c.Phases {
		p.say("- **%s**: %s", phase.Name, explain(&phase))
	}
	p.say("\n## Latency, ms\n")
	rows := [][]string{{"phase", "p50", "p90", "p99", "p99.9", "max", "p99 over " + c.Phases[0].Name, "answered a second", "failed"}}
	for i := range c.Phases {
		ph := &c.Phases[i]
		of := func(f func(*Latency) float64) string {
			return spread(over(ph.Rounds, func(r *PhaseRound) float64 { return f(&r.Latency) }))
		}
		ratio := "1"
		if i > 0 {
			ratio = spread(ph.against(&c.Phases[0], func(r *PhaseRound) float64 { return r.Latency.P99 }))
		}
		rows = append(rows, []string{ph.Name,
			of(func(l *Latency) float64 { return l.P50 }), of(func(l *Latency) float64 { return l.P90 }),
			of(func(l *Latency) float64 { return l.P99 }), of(func(l *Latency) float64 { return l.P999 }),
			of(func(l *Latency) float64 { return l.Max }), ratio,
			spread(over(ph.Rounds, func(r *PhaseRound) float64 { return r.PerSecond })), fmt.Sprint(ph.failed())})
	}
	p.table(rows...)
	inForcePart(p, c)
	p.say("## Who took the CPU, in cores\n")
	rows = [][]string{{"phase", "client", "gateway", "Consul", "others", "client's clock late by (p99, ms)"}}
	for _, ph := range c.Phases {
		cores := func(f func(*Cores) float64) string {
			return spread(over(ph.Rounds, func(r *PhaseRound) float64 { return f(&r.Cores) }))
		}
		rows = append(rows, []string{ph.Name, cores(func(c *Cores) float64 { return c.Client }), cores(func(c *Cores) float64 { return c.Server }),
			cores(func(c *Cores) float64 { return c.Consul }), cores(func(c *Cores) float64 { return c.Others }),
			spread(over(ph.Rounds, func(r *PhaseRound) float64 { return r.LatenessP99 }))})
	}
	p.table(rows...)
	p.say("The lateness of the client's clock is part of every latency above: where cores are busy, the client waits for one too.")
	p.say("The gateway's time holds that of the child processes which try new versions.\n")
}

// explain says what happens in a phase.
func explain(p *Phase) string {
	switch p.Change {
	case "version":
		return fmt.Sprintf("every %s ms, or when the last is in force, a document names only the other version: it is fetched, tried, opened and warmed, then takes all requests, and the old one drains and is closed.", trimmed(p.Every)) + counted(p)
	case "weights":
		return fmt.Sprintf("every %s ms, or when the last is in force, a document splits the traffic anew between both versions, which stay loaded.", trimmed(p.Every)) + counted(p)
	}
	return "nothing changes; each version alone for an equal part of the time, the mixture that the others have on average."
}

// counted says which requests count.
func counted(p *Phase) string {
	if p.Within == 0 {
		return ""
	}
	return fmt.Sprintf(" Only requests that were due within %s ms after a write count in the latencies.", trimmed(p.Within))
}

func (p *Phase) failed() int64 {
	var n int64
	for _, r := range p.Rounds {
		n += r.Failed
	}
	return n
}

// inForcePart writes how soon changes are in force.
func inForcePart(p *page, c *Changes) {
	p.say("## From the write to Consul to the first answer under the new table, ms\n")
	rows := [][]string{{"phase", "changes", "p50", "p90", "p99", "max", "of which the write (p50)", "aim for p99"}}
	for i := range c.Phases {
		ph := &c.Phases[i]
		times := ph.InForce()
		if ph.Change == "nothing" {
			continue
		}
		aim := "–"
		if ph.AimP99 > 0 {
			aim = fmt.Sprintf("below %s: %s", trimmed(ph.AimP99), map[bool]string{true: "met", false: "**missed**"}[len(times) > 0 && Quantile(times, .99) < ph.AimP99])
		}
		rows = append(rows, []string{ph.Name, fmt.Sprint(len(times)), short(Quantile(times, .5)), short(Quantile(times, .9)),
			short(Quantile(times, .99)), short(Quantile(times, 1)), short(Quantile(ph.Write(), .5)), aim})
	}
	p.table(rows...)
	p.say("Counted from before the HTTP PUT until the first answer of the running load that names the new index; all rounds together. It holds")
	p.say("the time until that answer's request was due, at most a few milliseconds at this rate.\n")
}
