package report

import "fmt"

func throughputPage(p *page, r *Result) {
	t := r.Throughput
	p.say("Golden requests of the example models in a closed loop: %d connections, each with one request under way. `gateway` is the program as it",
		t.Connections)
	p.say("is built, with all features on. `echo` is a fasthttp server in a process of its own that reads the same requests and answers the bytes")
	p.say("that the gateway answered: the least that an HTTP server of this kind can do. `bare` is ONNX Runtime in a loop in the client's process,")
	p.say("with one thread a run, on one session shared by its streams: the least that running the model can cost.")
	p.say("A latency of the servers holds the wait behind the other connections, of `bare` it is the run alone: they are not divided.")
	p.say("CPU is that of the whole server process, user and system; for `bare`, of the loop. A saturated machine is shared: where the client")
	p.say("takes one of two cores, an answer a second more or less is the client's too.\n")
	for i := range t.Models {
		modelPart(p, &t.Models[i])
	}
}

func modelPart(p *page, m *ModelFigures) {
	p.say("## %s version %s\n", m.Model, m.Version)
	p.say("Requests of %d bytes as JSON, %d bytes as binary.\n", m.JSONBytes, m.BinaryBytes)
	rows := [][]string{{"", "answers a second", "p50, ms", "p99, ms", "server CPU per answer, µs", "server, cores", "client, cores", "failed"}}
	for _, c := range m.Contenders {
		of := func(f func(*ThroughputRound) float64) string { return spread(over(c.Rounds, f)) }
		var failed int64
		for _, r := range c.Rounds {
			failed += r.Failed
		}
		rows = append(rows, []string{c.Name,
			of(func(r *ThroughputRound) float64 { return r.PerSecond }),
			of(func(r *ThroughputRound) float64 { return r.Latency.P50 }), of(func(r *ThroughputRound) float64 { return r.Latency.P99 }),
			of(func(r *ThroughputRound) float64 { return r.CPU }), of(func(r *ThroughputRound) float64 { return r.Cores.Server }),
			of(func(r *ThroughputRound) float64 { return r.Cores.Client }), fmt.Sprint(failed)})
	}
	p.table(rows...)
	if len(m.Ratios) == 0 {
		return
	}
	rows = [][]string{{"ratio", "answers a second", "p50", "p99", "server CPU per answer"}}
	for _, r := range m.Ratios {
		rows = append(rows, []string{r.Of + " / " + r.To, spread(r.PerSecond), orDash(r.P50), orDash(r.P99), spread(r.CPU)})
	}
	p.table(rows...)
}

func orDash(s *Spread) string {
	if s == nil {
		return "–"
	}
	return spread(*s)
}
