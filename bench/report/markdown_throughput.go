package report

import "fmt"

func throughputPage(p *page, r *Result) {
	t := r.Throughput
	p.say("Golden requests in a closed loop: %d connections where nothing else is said, each with one request under way. `gateway` is the program",
		t.Connections)
	p.say("as it is built, with all features on. `echo` is a bare fasthttp or gRPC server in a process of its own that reads the same requests and answers the")
	p.say("bytes that the gateway answered: the least that a server of this kind can do. `runtime` is ONNX Runtime in a loop in the client's")
	p.say("process, with one thread a run, on one session shared by its streams: the least that running the model can cost. `peer` is another server")
	p.say("on the same model with the same version of ONNX Runtime, its answers checked as the gateway's are.")
	p.say("A latency of the servers holds the wait behind the other connections, of `runtime` it is the run alone: they are not divided.")
	p.say("CPU is that of the whole server, user and system, all its processes together; for `runtime`, of the loop. A saturated machine is shared:")
	p.say("where the client takes one of two cores, an answer a second more or less is the client's too.\n")
	for i := range t.Models {
		modelPart(p, &t.Models[i])
	}
}

func modelPart(p *page, m *ModelFigures) {
	p.say("## %s version %s\n", m.Model, m.Version)
	rows := [][]string{{"", "kind", "connections", "bytes a request", "answers a second", "p50, ms", "p99, ms", "server CPU per answer, µs", "server, cores", "client, cores", "failed"}}
	for _, c := range m.Contenders {
		of := func(f func(*ThroughputRound) float64) string { return measured(len(c.Rounds), over(c.Rounds, f)) }
		var failed int64
		for _, r := range c.Rounds {
			failed += r.Failed
		}
		bytes := "–"
		if c.RequestBytes > 0 {
			bytes = fmt.Sprint(c.RequestBytes)
		}
		rows = append(rows, []string{c.Name, c.Kind, fmt.Sprint(c.Connections), bytes,
			of(func(r *ThroughputRound) float64 { return r.PerSecond }),
			of(func(r *ThroughputRound) float64 { return r.Latency.P50 }), of(func(r *ThroughputRound) float64 { return r.Latency.P99 }),
			of(func(r *ThroughputRound) float64 { return r.CPU }), of(func(r *ThroughputRound) float64 { return r.Cores.Server }),
			of(func(r *ThroughputRound) float64 { return r.Cores.Client }), fmt.Sprint(failed)})
	}
	p.table(rows...)
	unbalancedPart(p, m)
	for _, d := range m.Decoders {
		p.say("The gateway's decoder alone on one core, %s (%s): %s ns for each of %d numbers a request.\n",
			d.Name, d.Protocol, spread(NewSpread(d.Nanoseconds)), d.Numbers)
	}
	if len(m.Ratios) == 0 {
		return
	}
	rows = [][]string{{"ratio", "answers a second", "p50", "p99", "server CPU per answer"}}
	for _, r := range m.Ratios {
		rows = append(rows, []string{r.Of + " / " + r.To, measured(r.Rounds, r.PerSecond), orDash(r.Rounds, r.P50), orDash(r.Rounds, r.P99), measured(r.Rounds, r.CPU)})
	}
	p.table(rows...)
}

// unbalancedPart writes the tries that do not count.
func unbalancedPart(p *page, m *ModelFigures) {
	for _, c := range m.Contenders {
		if len(c.Unbalanced) == 0 {
			continue
		}
		alone := 0
		for _, r := range c.Unbalanced {
			if len(r.Workers) == 1 {
				alone++
			}
		}
		p.say("Not counted above: %d tries of %s in which one worker answered more than %s times its share, everything in %d of them (%s answers a second).\n",
			len(c.Unbalanced), c.Name, trimmed(mostShare), alone, spread(over(c.Unbalanced, func(r *ThroughputRound) float64 { return r.PerSecond })))
	}
}

// measured writes a figure that some rounds may lack.
func measured(rounds int, s Spread) string {
	if rounds == 0 {
		return "–"
	}
	return spread(s)
}

// orDash writes a ratio that not all contenders have.
func orDash(rounds int, s *Spread) string {
	if s == nil {
		return "–"
	}
	return measured(rounds, *s)
}
