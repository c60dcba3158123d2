package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/bench/load"
)

var update = flag.Bool("update", false, "write the golden pages and plots anew")

// latency is that of a made-up distribution: the larger scale, the slower.
func latency(n int, scale float64) Latency {
	h := load.NewHistogram()
	for i := range n {
		part := (float64(i) + .5) / float64(n)
		h.Record(time.Duration(scale * (1 - math.Log(1-part)) * float64(time.Millisecond)))
	}
	return NewLatency(h)
}

func setup() Setup {
	return Setup{
		Command: "go run ./bench --out results", Commit: "0123456789ab", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		TookSeconds: 90, LoadAverage: "0.10 0.20 0.30", Rounds: 4, RoundSeconds: 10, WarmupSeconds: 1,
		Machine:  Machine{CPU: "A <fast> CPU", Cores: 2, Kernel: "Linux 6", MemoryMiB: 4096},
		Versions: []Version{{"segue", "v1"}, {"Go", "1.26"}},
	}
}

func changesResult() *Result {
	c := &Changes{
		Model: "mozart", Versions: []string{"1", "2"}, Protocol: "binary", Transport: "tcp", RequestBytes: 45204, Connections: 64,
		Arrivals: "poisson", CapacityConnections: 8, Load: .6, Offered: 6000,
		Capacity: []Spread{{20000, 19000, 21000}, {10000, 9000, 11000}},
		Phases:   []Phase{{Name: "steady", Change: "nothing"}, {Name: "swaps", Change: "version", Every: 2000, Within: 1000}, {Name: "weights", Change: "weights", Every: 100, AimP99: 20}},
	}
	for i := range c.Phases {
		for round := range 4 {
			r := PhaseRound{
				Latency: latency(6000, .5*(1+float64(i)+float64(round)/10)), LatenessP99: .2, PerSecond: 6000 + float64(round),
				Cores: Cores{Client: .4, Server: .8, Consul: .05, Others: .02},
			}
			for j := range 5 * i {
				r.InForce = append(r.InForce, float64(60/(i*i*i)+j+round))
				r.Write = append(r.Write, 1+float64(j)/10)
			}
			c.Phases[i].Rounds = append(c.Phases[i].Rounds, r)
		}
	}
	r := &Result{Scenario: "swaps", Title: "Latency & swaps", Setup: setup(), Changes: c}
	r.Aims = []Aim{c.Aim(1, 1.3), c.AimInForce(2)}
	return r
}

func throughputResult() *Result {
	m := ModelFigures{Model: "wine", Version: "2"}
	for i, kind := range []string{"gateway", "echo", "runtime", "peer"} {
		c := Contender{Name: kind + "-json", Kind: kind, Connections: 8, RequestBytes: 136}
		switch kind {
		case "runtime":
			c.Connections, c.RequestBytes = 2, 0
		case "peer":
			c.Unbalanced = []ThroughputRound{{PerSecond: 1000, Workers: map[string]int64{"a": 9}}, {PerSecond: 1500, Workers: map[string]int64{"a": 8, "b": 2}}}
		}
		for round := range 4 {
			c.Rounds = append(c.Rounds, ThroughputRound{
				Round: round + 1, PerSecond: float64(50000*(i+1) + 1000*round), Latency: latency(1000, .1/float64(i+1)), CPU: 20 / float64(i+1),
				Cores: Cores{Client: .9, Server: 1},
			})
		}
		m.Contenders = append(m.Contenders, c)
	}
	m.Ratios = []Ratio{NewRatio(&m.Contenders[0], &m.Contenders[1]), NewRatio(&m.Contenders[0], &m.Contenders[2])}
	m.Decoders = []Decoder{{Name: "six-digits", Protocol: "json", Numbers: 13, Nanoseconds: []float64{9, 8, 10, 9.5}}}
	aims := []Aim{
		m.Decoders[0].Aim("wine", 10),
		{What: "wine: gateway-json / echo-json, answers a second", Unit: "×", AtLeast: .5, Measured: 4, Reached: m.Ratios[0].PerSecond},
		{What: "wine: gateway-json / echo-json, p50", Unit: "×", AtMost: 1.5, Measured: 4, Reached: *m.Ratios[0].P50},
	}
	return &Result{Scenario: "overhead", Title: "Cost", Setup: setup(), Aims: aims, Throughput: &Throughput{Connections: 8, Models: []ModelFigures{m}}}
}

// offeredResult is a sweep, or points beside another load and beyond capacity.
func offeredResult(sweep bool) *Result {
	o := &Offered{Model: "tiny", Version: "1", Connections: 64, CapacityConnections: 8, Arrivals: "poisson"}
	points := []Point{{Name: "50 %", Part: .5}, {Name: "90 %", Part: .9}}
	r := &Result{Scenario: "sweep", Title: "Sweep", Setup: setup(), Offered: o}
	if !sweep {
		points = []Point{{Name: "alone", Rate: 500}, {Name: "with", Rate: 500, Beside: true}, {Name: "10 times", Part: 10, Overload: true}}
		r.Scenario, r.Title, o.Beside, o.BesidePart = "points", "Points", "cnn", .5
	}
	for i, kind := range []string{"gateway", "peer"} {
		s := Series{Name: kind, Kind: kind, RequestBytes: 359, Points: append([]Point(nil), points...)}
		for round := range 4 {
			s.Capacity = append(s.Capacity, float64(10000/(i+1)+100*round))
			for j := range s.Points {
				rate := s.Capacity[round] * s.Points[j].Part
				one := OfferedRound{Offered: rate, PerSecond: rate, Latency: latency(2000, .1*float64(1+i+j*j+round)), Cores: Cores{Client: .5, Server: 1}}
				if s.Points[j].Beside {
					one.BesidePerSecond, one.BesideP99 = 300, 9
				}
				if s.Points[j].Overload {
					one.PerSecond, one.RefusedPerSecond, one.RefusalP50, one.RefusalP99, one.Recovery = .95*s.Capacity[round], 9*rate/10, .5, 2, .1
					one.FloorPerSecond = .96 * s.Capacity[round]
				}
				s.Points[j].Rounds = append(s.Points[j].Rounds, one)
			}
		}
		o.Series = append(o.Series, s)
	}
	if sweep {
		return r
	}
	r.Aims = []Aim{
		o.Aim("p99", "with", "alone", 0, 3), o.Aim("goodput", "10 times", "capacity", .9, 0), o.Aim("goodput", "10 times", "", 100, 0),
		o.Aim("refusal_p99", "10 times", "", 0, 1), o.Aim("recovery", "10 times", "", 0, 2), o.Aim("p50", "with", "", 0, 5),
	}
	return r
}

func TestPagesAndPlotsAreGolden(t *testing.T) {
	failed := changesResult()
	failed.Scenario, failed.Setup.Rounds = "failed", 1
	failed.Failures = []string{"round 1, swaps: 2 requests failed"}
	failed.Changes.Phases[1].Rounds[0].Failed = 2
	failed.Changes.Phases[2].Rounds[0].InForce[0] = 300
	failed.Changes.Phases[0].Rounds[2].Cores.Others = 1.5
	missing := throughputResult()
	missing.Scenario = "missing"
	peer := &missing.Throughput.Models[0].Contenders[3]
	peer.Rounds = nil
	missing.Throughput.Models[0].Ratios = append(missing.Throughput.Models[0].Ratios, NewRatio(&missing.Throughput.Models[0].Contenders[0], peer))
	for _, round := range []string{"1", "2", "3", "4"} {
		missing.Missing = append(missing.Missing, "round "+round+", peer-json on wine: its 2 workers did not share the connections in any of 10 tries")
	}
	for _, r := range []*Result{changesResult(), throughputResult(), offeredResult(true), offeredResult(false), failed, missing} {
		for ending, got := range map[string]string{".md": Markdown(r), ".svg": Plot(r)} {
			path := filepath.Join("testdata", r.Scenario+ending)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what is written now; -update writes it anew", path)
			}
		}
	}
}

func TestTheSummaryIsGolden(t *testing.T) {
	broken := changesResult()
	broken.Failures = []string{"it broke"}
	lacking := throughputResult()
	lacking.Missing = []string{"round 3, peer-json on wine: its workers did not share"}
	got := Summary([]*Result{lacking, broken, offeredResult(false), offeredResult(true)})
	const path = "testdata/summary.md"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s differs from what is written now; -update writes it anew (%v)", path, err)
	}
}

func TestBrokenPromisesStandOut(t *testing.T) {
	r := changesResult()
	r.Setup.Rounds = 3
	r.Failures = []string{"it broke"}
	r.Changes.Phases[2].Rounds[0].InForce[0] = 300
	r.Changes.Phases[0].Rounds[2].Cores.Others = 1.5
	page := Markdown(r)
	for _, want := range []string{"- it broke", "**missed**", "a try, not a result", "**Other programs took up to 1.50 cores"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
		if strings.Contains(Markdown(changesResult()), want) {
			t.Errorf("a good page says %q", want)
		}
	}
}

func TestPlotsAreWellFormedWhateverTheFigures(t *testing.T) {
	empty := changesResult()
	for i := range empty.Changes.Phases {
		empty.Changes.Phases[i].Rounds = []PhaseRound{{Latency: NewLatency(load.NewHistogram())}}
	}
	unoffered := offeredResult(true)
	for i := range unoffered.Offered.Series[0].Points {
		unoffered.Offered.Series[0].Points[i].Rounds = nil
	}
	idle := throughputResult()
	for i := range idle.Throughput.Models[0].Contenders {
		idle.Throughput.Models[0].Contenders[i].Rounds = nil
	}
	for _, r := range []*Result{changesResult(), throughputResult(), offeredResult(true), offeredResult(false), empty, idle, unoffered} {
		plot := Plot(r)
		for d := xml.NewDecoder(strings.NewReader(plot)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", r.Scenario, err)
			}
		}
		if strings.Contains(plot, "NaN") || strings.Contains(plot, "Inf") {
			t.Errorf("%s: a coordinate is no number", r.Scenario)
		}
		Markdown(r)
	}
}

func TestResultsSurviveJSON(t *testing.T) {
	for _, r := range []*Result{changesResult(), throughputResult(), offeredResult(true), offeredResult(false)} {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Result
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if Markdown(&back) != Markdown(r) || Plot(&back) != Plot(r) {
			t.Errorf("%s: the page of the stored result is another", r.Scenario)
		}
	}
}

func TestSpreads(t *testing.T) {
	f := func(want Spread, values ...float64) {
		t.Helper()
		if got := NewSpread(values); got != want {
			t.Errorf("%v: got %v, want %v", values, got, want)
		}
	}
	f(Spread{})
	f(Spread{3, 3, 3}, 3)
	f(Spread{2, 1, 9}, 9, 1, 2)
	f(Spread{2.5, 1, 9}, 9, 1, 2, 3)
	if got := Quantile([]float64{4, 0, 1, 2, 3}, .99); math.Abs(got-3.96) > 1e-9 {
		t.Errorf("p99 is %v, want 3.96", got)
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	n := 0
	round := func(perSecond, p50 float64) ThroughputRound {
		n = n%3 + 1
		return ThroughputRound{Round: n, PerSecond: perSecond, Latency: Latency{P50: p50, P99: 2 * p50}, CPU: p50}
	}
	a := &Contender{Name: "a", Kind: "gateway", Rounds: []ThroughputRound{round(10, 4), round(100, 2), round(40, 1)}}
	b := &Contender{Name: "b", Kind: "echo", Rounds: []ThroughputRound{round(20, 2), round(200, 1), round(50, 1)}}
	got := NewRatio(a, b)
	if got.PerSecond != (Spread{.5, .5, .8}) || *got.P50 != (Spread{2, 1, 2}) || *got.P99 != (Spread{2, 1, 2}) || got.CPU != (Spread{2, 1, 2}) || got.Rounds != 3 {
		t.Errorf("got %+v", got)
	}
	// A round that one of them lacks is not made up for by the next one.
	lacking := &Contender{Name: "c", Rounds: []ThroughputRound{b.Rounds[0], b.Rounds[2]}}
	if got := NewRatio(a, lacking); got.Rounds != 2 || got.PerSecond.Min != .5 || got.PerSecond.Max != .8 {
		t.Errorf("without the second round of one: %+v", got)
	}
	b.Connections = 2
	if got := NewRatio(a, b); got.P50 != nil || got.P99 != nil || got.PerSecond.Median != .5 {
		t.Errorf("a queue is compared with a run: %+v", got)
	}
}

func TestWorkersAreBalancedWhereEachHasItsShare(t *testing.T) {
	f := func(want bool, n int, answers ...int64) {
		t.Helper()
		r := ThroughputRound{Workers: map[string]int64{}}
		for i, a := range answers {
			r.Workers[string(rune('a'+i))] = a
		}
		if got := r.Balanced(n); got != want {
			t.Errorf("%v of %d workers: balanced %v, want %v", answers, n, got, want)
		}
	}
	f(true, 2, 100, 100)
	f(true, 2, 130, 100)
	f(false, 2, 200, 100)
	f(false, 2, 300)
	f(false, 2)
	f(true, 4, 100, 90, 110, 100)
}

func TestAnAimIsMetByTheMedian(t *testing.T) {
	f := func(want bool, a Aim) {
		t.Helper()
		if a.Met() != want {
			t.Errorf("%+v: met %v, want %v", a, !want, want)
		}
	}
	f(true, Aim{AtLeast: 2, Measured: 4, Reached: Spread{2, 1, 3}})
	f(false, Aim{AtLeast: 2, Measured: 4, Reached: Spread{1.99, 1, 3}})
	f(true, Aim{AtMost: 2, Measured: 4, Reached: Spread{2, 1, 3}})
	f(false, Aim{AtMost: 2, Measured: 4, Reached: Spread{2.01, 1, 3}})
	f(true, Aim{AtMost: 2, Measured: 4})
	f(false, Aim{AtMost: 2})
}

func TestCoresAreSharesOfTheWindow(t *testing.T) {
	got := NewCores(map[string]time.Duration{MeterClient: time.Second, MeterServer: 2 * time.Second, MeterMachine: 4 * time.Second}, 2*time.Second)
	if got != (Cores{Client: .5, Server: 1, Others: .5}) {
		t.Errorf("got %+v", got)
	}
	if got := NewCores(map[string]time.Duration{MeterClient: time.Second}, time.Second); got.Others != 0 {
		t.Errorf("others took %v", got.Others)
	}
}

func TestOnlyQuantilesWithAnswersBeyondAreDrawn(t *testing.T) {
	f := func(want float64, counts ...int) {
		t.Helper()
		p := &Phase{}
		for _, n := range counts {
			p.Rounds = append(p.Rounds, PhaseRound{Latency: Latency{Count: int64(n)}})
		}
		last := 0.0
		if n := drawn(p); n > 0 {
			last = CurveQuantiles()[n-1]
		}
		if last != want {
			t.Errorf("%v: drawn up to %v, want %v", counts, last, want)
		}
	}
	f(0, 5)
	f(.9, 100)
	f(.99, 1999)
	f(.99, 1999, 100000)
	f(.9999, 110000)
}

func TestTicks(t *testing.T) {
	f := func(want string, values ...float64) {
		t.Helper()
		var got []string
		for _, v := range newLogAxis(values, 0, 1).ticks() {
			got = append(got, trimmed(v))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v: got %v, want %s", values, got, want)
		}
	}
	f("1 2 5 10")
	f("0.2 0.5 1 2 5", .3, 4.2)
	f("5 10", 5)
	f("0.01 0.1 1 10 100", .01, 120)
}

func TestNumbersAreShort(t *testing.T) {
	for want, v := range map[string]float64{
		"0": 0, "0.123": .12345, "0.0012": .00123, "1.23": 1.2345, "12.3": 12.345, "123": 123.45, "1234": 1234.5,
		"12.3k": 12345, "123k": 123456, "1.23M": 1234567,
	} {
		if got := short(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}
