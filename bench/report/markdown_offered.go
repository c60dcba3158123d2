package report

import "fmt"

func offeredPage(p *page, r *Result) {
	o := r.Offered
	p.say("Golden requests of `%s` version %s in an open loop of up to %d connections: requests are due at %s arrivals, and a latency counts from",
		o.Model, o.Version, o.Connections, o.Arrivals)
	p.say("when the request was due. A part is one of the contender's own capacity, which a closed loop of %d connections measured in the same",
		o.CapacityConnections)
	p.say("round. Latencies are those of good answers.\n")
	if o.Beside != "" {
		p.say("`beside` adds requests of `%s` to the same gateway, due at %s of its own capacity.\n", o.Beside, trimmed(o.BesidePart))
	}
	if o.overloaded() {
		p.say("An overload lies between times at half of the capacity; answers, their latencies, refusals a second and cores are of the overload alone.")
		p.say("The gateway has recovered when, over 100 ms, nothing is refused and the median is less than three times that before, or 5 ms.\n")
	}
	for i := range o.Series {
		seriesPart(p, o, &o.Series[i])
	}
}

func seriesPart(p *page, o *Offered, s *Series) {
	p.say("## %s\n", s.Name)
	p.say("Requests of %d bytes. Capacity %s a second.\n", s.RequestBytes, spread(NewSpread(s.Capacity)))
	head := []string{"", "offered a second", "good a second", "p50, ms", "p99, ms", "p99.9, ms", "server, cores", "client, cores", "clock late (p99, ms)", "failed"}
	if o.Beside != "" {
		head = append(head, "beside a second", "beside p99, ms")
	}
	if o.overloaded() {
		head = append(head, "refused a second", "refusal p50, ms", "refusal p99, ms", "recovery, s")
	}
	rows := [][]string{head}
	for i := range s.Points {
		pt := &s.Points[i]
		of := func(f func(*OfferedRound) float64) string { return spread(over(pt.Rounds, f)) }
		var failed int64
		for _, r := range pt.Rounds {
			failed += r.Failed
		}
		row := []string{pt.Name, of(func(r *OfferedRound) float64 { return r.Offered }), of(func(r *OfferedRound) float64 { return r.PerSecond }),
			of(func(r *OfferedRound) float64 { return r.Latency.P50 }), of(func(r *OfferedRound) float64 { return r.Latency.P99 }),
			of(func(r *OfferedRound) float64 { return r.Latency.P999 }), of(func(r *OfferedRound) float64 { return r.Cores.Server }),
			of(func(r *OfferedRound) float64 { return r.Cores.Client }), of(func(r *OfferedRound) float64 { return r.LatenessP99 }), fmt.Sprint(failed)}
		if o.Beside != "" {
			row = append(row, of(func(r *OfferedRound) float64 { return r.BesidePerSecond }), of(func(r *OfferedRound) float64 { return r.BesideP99 }))
		}
		if o.overloaded() {
			row = append(row, of(func(r *OfferedRound) float64 { return r.RefusedPerSecond }), of(func(r *OfferedRound) float64 { return r.RefusalP50 }),
				of(func(r *OfferedRound) float64 { return r.RefusalP99 }), of(func(r *OfferedRound) float64 { return r.Recovery }))
		}
		rows = append(rows, row)
	}
	p.table(rows...)
	for i := range s.Points {
		if left, reached := s.floor(&s.Points[i]); left != nil {
			p.say("The floor of `%s`: while a bare server on the same cores refuses as many requests a second, a closed loop of %d connections gets", s.Points[i].Name, o.CapacityConnections)
			p.say("%s of the capacity. The good answers above are %s of that.\n", spread(*left), spread(*reached))
		}
	}
}
