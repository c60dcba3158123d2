package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/runtime"
)

// watched is a target that takes every request offered.
func watched(t *testing.T, v Version) (*node, *Target) {
	t.Helper()
	n := newNode(t, configstest.NewStore(), newClock(), "a")
	n.follow(modelOf(configs.Drift{}, v))
	target := n.Target("m", v.Name)
	target.open(math.MaxUint64, 1<<30)
	return n, target
}

func TestASampleIsOneRowInMemoryOfItsOwn(t *testing.T) {
	n, target := watched(t, versionOfProfile("1", profileOf(t, "1", 1)))
	x := floats("x", 2, 1, 2, 3, 4, 5, 6)
	texts := runtime.Tensor{Name: "s", Type: runtime.BYTES, Shape: []int64{3, 1}, Strings: [][]byte{[]byte("1"), []byte("3"), []byte("5")}}
	once := runtime.Tensor{Name: "k", Type: runtime.UINT8, Shape: []int64{2}, Data: []byte{7, 8}}
	seen := map[string]int{}
	for range 200 {
		target.Offer([]runtime.Tensor{x, texts, once}, []runtime.Tensor{floats("p", 1, 10, 30, 50)}, 3, 0)
		s := <-n.inbox.waits
		clear(x.Data) // the request's memory is another request's by now
		clear(texts.Strings[0])
		row := s.inputs[0]
		if !slices.Equal(row.Shape, []int64{1, 2}) || !slices.Equal(s.inputs[1].Shape, []int64{1, 1}) || !bytes.Equal(s.inputs[2].Data, []byte{7, 8}) {
			t.Fatalf("shapes %v, %v", row.Shape, s.inputs[1].Shape)
		}
		first := floats("", 1, 1, 3, 5).Data
		i := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return bytes.Equal(row.Data[:4], first[4*i:4*i+4]) })
		if i < 0 || string(s.inputs[1].Strings[0]) != fmt.Sprint(1+2*i) || !bytes.Equal(s.outputs[0].Data, floats("", 1, float64(10+20*i)).Data) {
			t.Fatalf("rows of different requests are mixed: %v %q %v", row.Data, s.inputs[1].Strings, s.outputs[0].Data)
		}
		seen[fmt.Sprint(i)]++
		n.inbox.done(s)
		x = floats("x", 2, 1, 2, 3, 4, 5, 6)
		texts.Strings[0] = []byte("1")
	}
	for row := range 3 {
		if seen[fmt.Sprint(row)] < 40 {
			t.Errorf("of 200 samples of 3 rows: %v", seen)
		}
	}
	if left := n.inbox.queued.Load(); left != 0 {
		t.Errorf("%d bytes are counted as waiting", left)
	}
}

func TestWhatFindsNoRoomIsDroppedAndCounted(t *testing.T) {
	n, target := watched(t, versionOfProfile("1", profileOf(t, "1", 1)))
	x, p := floats("x", 2, 1, 2), floats("p", 3, .2, .3, .5)
	for range maxWaiting + 10 {
		target.Offer([]runtime.Tensor{x}, []runtime.Tensor{p}, 1, 0)
	}
	large := runtime.Tensor{Name: "x", Type: runtime.UINT8, Shape: []int64{1, maxSampleBytes}, Data: make([]byte, maxSampleBytes)}
	target.Offer([]runtime.Tensor{large}, []runtime.Tensor{p}, 1, 0)
	if s := target.state(); s.Dropped != 10 || s.TooLarge != 1 || len(n.inbox.waits) != maxWaiting {
		t.Errorf("%+v, %d wait", s, len(n.inbox.waits))
	}
	for range maxWaiting {
		n.inbox.done(<-n.inbox.waits)
	}
	half := runtime.Tensor{Name: "x", Type: runtime.UINT8, Shape: []int64{1, maxSampleBytes / 2}, Data: make([]byte, maxSampleBytes/2)}
	for range 2*maxWaitingBytes/maxSampleBytes + 3 {
		target.Offer([]runtime.Tensor{half}, nil, 1, 0)
	}
	if waits, dropped := len(n.inbox.waits), target.state().Dropped; waits != 2*maxWaitingBytes/maxSampleBytes || dropped != 13 {
		t.Errorf("%d of %d bytes wait, %d dropped", waits, maxSampleBytes/2, dropped)
	}
}

func TestARequestThatIsNotSampledAllocatesNothing(t *testing.T) {
	_, target := watched(t, versionOfProfile("1", profileOf(t, "1", 1)))
	target.open(0, 0)
	if n := testing.AllocsPerRun(1000, func() {
		if target.Wants() {
			t.Error("wanted")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSharesOfTheBudget(t *testing.T) {
	f := func(budget float64, rates, most, want []float64) {
		t.Helper()
		var demands []*demand
		for i := range rates {
			d := &demand{rate: rates[i], most: math.Inf(1)}
			if most != nil {
				d.most = most[i]
			}
			demands = append(demands, d)
		}
		deal(budget, demands)
		for i, d := range demands {
			if math.Abs(d.taken-want[i]) > 1e-9 {
				t.Errorf("version %d of %v with %v: %v a second, want %v", i, rates, budget, d.taken, want[i])
			}
		}
	}
	f(50, []float64{1000}, nil, []float64{50})
	f(50, []float64{20}, nil, []float64{20})
	f(50, nil, nil, nil)
	// A canary has as many samples as the rest.
	f(50, []float64{990, 10}, nil, []float64{40, 10})
	f(50, []float64{900, 100}, nil, []float64{25, 25})
	f(60, []float64{5, 900, 25}, nil, []float64{5, 30, 25})
	// What is costly to count is sampled less.
	f(50, []float64{900, 100}, []float64{8, 100}, []float64{8, 42})
}

func TestThresholdsTakeTheirShare(t *testing.T) {
	for _, c := range []struct {
		taken, rate float64
		want        uint64
	}{{0, 0, math.MaxUint64}, {10, 10, math.MaxUint64}, {5, 10, 1 << 63}, {0, 10, 0}, {1, 4, 1 << 62}} {
		if got := thresholdOf(c.taken, c.rate); got != c.want {
			t.Errorf("%v of %v: %x, want %x", c.taken, c.rate, got, c.want)
		}
	}
}

func TestTheRateOfSamplesFollowsTheRequests(t *testing.T) {
	n, target := watched(t, versionOfProfile("1", profileOf(t, "1", 1)))
	answers := uint64(0)
	target.version.Answers = func() uint64 { return answers }
	draws := func() int {
		wanted := 0
		for range 100_000 {
			if target.Wants() {
				wanted++
			}
		}
		return wanted
	}
	answers += 5000
	n.deal(time.Second)
	if got := draws(); got < 800 || got > 1200 {
		t.Errorf("%d of 100000 at 5000 a second with a budget of 50", got)
	}
	// Before the next look at the rate a burst takes at most two seconds' worth.
	target.threshold.Store(math.MaxUint64)
	x, p := floats("x", 2, 1, 2), floats("p", 3, .2, .3, .5)
	for range 1000 {
		target.Offer([]runtime.Tensor{x}, []runtime.Tensor{p}, 1, 0)
	}
	if waits := len(n.inbox.waits); waits != 100 {
		t.Errorf("%d samples in a burst", waits)
	}
	n.deal(time.Second) // nobody asked
	if got := draws(); got != 100_000 {
		t.Errorf("%d of 100000 after a quiet second", got)
	}
	// Counting takes a hundredth of a core, as far as that is known.
	n.see("1", random(1), enoughSamples, 0)
	target.mu.Lock()
	target.cost = time.Millisecond
	target.mu.Unlock()
	answers += 1000
	n.deal(time.Second)
	if got := draws(); got < 850 || got > 1150 {
		t.Errorf("%d of 100000 at 1000 a second where one takes a millisecond", got)
	}
	n.Follow(nil)
	if target.open(math.MaxUint64, 10); draws() != 0 {
		t.Error("a version that is followed no more is sampled")
	}
}

func TestAProfileThatDoesNotFitTurnsDriftOffAndSaysWhy(t *testing.T) {
	good := string(profileOf(t, "1", 1))
	otherSignature := *sig
	otherSignature.Inputs = []runtime.TensorSpec{{Name: "x", Type: runtime.FP64, Shape: []int64{runtime.Dynamic, 2}}}
	for name, c := range map[string]struct {
		profile string
		err     error
		sig     *runtime.Signature
		drift   configs.Drift
		want    string
	}{
		"none":                 {want: "the artifact holds no drift-profile.json: make one with seguectl profile"},
		"unreadable":           {err: errors.New("input/output error"), want: "drift profile: input/output error"},
		"truncated":            {profile: good[:len(good)/2], want: "unexpected EOF"},
		"another model":        {profile: strings.Replace(good, `"model": "m"`, `"model": "other"`, 1), want: `made for model "other", not for "m"`},
		"another version":      {profile: strings.Replace(good, `"version": "1"`, `"version": "7"`, 1), want: `made for version "7", not for "1"`},
		"another schema":       {profile: strings.Replace(good, `"schema": 1`, `"schema": 2`, 1), want: "schema: 2 is not supported"},
		"another signature":    {profile: good, sig: &otherSignature, want: `input "x" was FP32, the model's is FP64`},
		"no feature is left":   {profile: good, drift: configs.Drift{Features: []string{"y"}}, want: `no feature is left to compare: the profile has no feature "y"`},
		"all features are out": {profile: good, drift: configs.Drift{Exclude: []string{"x[0]", "x[1]", "p.class", "p.confidence"}}, want: "no feature is left"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, configstest.NewStore(), newClock(), "a")
			v := versionOfProfile("1", []byte(c.profile))
			if c.err != nil {
				v.Profile = func() ([]byte, error) { return nil, c.err }
			}
			if c.sig != nil {
				v.Signature = c.sig
			}
			n.follow(modelOf(c.drift, v))
			target := n.Target("m", "1")
			target.open(math.MaxUint64, 100)
			states, report, ok := n.State("m")
			if s := states["1"]; !ok || report != nil || !strings.Contains(s.Off, c.want) || s.Features != 0 {
				t.Errorf("off because %q, want %q", s.Off, c.want)
			}
			if target.Wants() {
				t.Error("it is sampled all the same")
			}
			n.pass()
			n.write()
			if !strings.Contains(n.log.String(), "drift is not watched") {
				t.Error("nothing is logged")
			}
		})
	}
}

func TestFeaturesAreThoseOfTheDocument(t *testing.T) {
	n := newNode(t, configstest.NewStore(), newClock(), "a")
	n.follow(modelOf(configs.Drift{Exclude: []string{"x[1]", "y"}}, versionOfProfile("1", profileOf(t, "1", 1))))
	states, _, _ := n.State("m")
	if s := states["1"]; s.Off != "" || s.Features != 3 || !slices.Equal(s.Notes, []string{`the profile has no feature "y"`}) || s.ReferenceSamples != 20_000 {
		t.Errorf("%+v", s)
	}
}

func TestARequestThatIsNotAsTheProfileSaysIsNotCounted(t *testing.T) {
	n, target := watched(t, versionOfProfile("1", profileOf(t, "1", 1)))
	for range 2 {
		target.add(&sample{of: target, inputs: []runtime.Tensor{floats("x", 3, 1, 2, 3)}}, n.opts.Log)
	}
	if s := target.state(); s.Unfit != 2 || s.Samples != 0 || strings.Count(n.log.String(), "not counted") != 1 {
		t.Errorf("%+v", s)
	}
}

func TestASampleThatWaitsForACoreCostsNoMore(t *testing.T) {
	cost := costOf(0, 30*time.Microsecond)
	for range 100 {
		cost = costOf(cost, 20*time.Microsecond)
	}
	if once := costOf(cost, 50*time.Millisecond); once > 25*time.Microsecond {
		t.Errorf("one that waited makes it %v", once)
	}
	for range 300 {
		cost = costOf(cost, time.Millisecond)
	}
	if cost != time.Millisecond {
		t.Errorf("many that take longer make it %v", cost)
	}
}
