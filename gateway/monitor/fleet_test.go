package monitor

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/runtime"
)

// freely lets everybody hold every lock.
type freely struct{}

func (freely) Hold(ctx context.Context, _ string, fn func(context.Context) error) error {
	return fn(ctx)
}

// node is one gateway's monitor, driven by hand.
type node struct {
	*Monitor
	t     testing.TB
	books *books
	judge *judge
	log   *bytes.Buffer
}

// clock is the time of a fleet under test.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)} }

func newNode(t testing.TB, store configs.Store, at *clock, name string, change ...func(*Options)) *node {
	t.Helper()
	log := &bytes.Buffer{}
	opts := Options{Store: store, Locker: freely{}, Instance: name, Epoch: name + "-" + fmt.Sprint(at.at.Unix()), Now: at.now,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(log, t.Output()), nil)), Wrote: func(string, string) {}}
	for _, f := range change {
		f(&opts)
	}
	m := New(opts)
	return &node{Monitor: m, t: t, books: newBooks(m), judge: newJudge(m), log: log}
}

// sig is a model that takes two numbers and says one of three classes.
var sig = &runtime.Signature{
	Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 2}}},
	Outputs: []runtime.TensorSpec{{Name: "p", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 3}}},
}

func floats(name string, width int64, values ...float64) runtime.Tensor {
	t := runtime.Tensor{Name: name, Type: runtime.FP32, Shape: []int64{int64(len(values)) / width, width}}
	for _, x := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(float32(x)))
	}
	return t
}

// rows are requests of n rows with their answers: normal numbers, the first
// shifted.
func rows(random *rand.Rand, n int, shift float64) (inputs, outputs []runtime.Tensor) {
	var x, p []float64
	for range n {
		x = append(x, random.NormFloat64()+shift, random.NormFloat64())
		a, b, c := random.ExpFloat64(), random.ExpFloat64(), random.ExpFloat64()
		p = append(p, a/(a+b+c), b/(a+b+c), c/(a+b+c))
	}
	return []runtime.Tensor{floats("x", 2, x...)}, []runtime.Tensor{floats("p", 3, p...)}
}

// profileOf is a profile of clean rows.
func profileOf(t testing.TB, version string, seed uint64) []byte {
	t.Helper()
	b, err := drift.NewBuilder(sig, drift.Options{Model: "m", Version: version})
	if err != nil {
		t.Fatal(err)
	}
	inputs, outputs := rows(rand.New(rand.NewPCG(seed, 0)), 20_000, 0)
	if err := b.Add(drift.Rows{Inputs: inputs, Outputs: outputs}); err != nil {
		t.Fatal(err)
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// versionOfProfile is a version in memory with a profile.
func versionOfProfile(name string, profile []byte) Version {
	return Version{Name: name, Digest: "sha256:" + strings.Repeat(name, 64), Signature: sig,
		Profile: func() ([]byte, error) { return profile, nil }, Answers: func() uint64 { return 0 }}
}

// modelOf is a model with what its document says of drift.
func modelOf(d configs.Drift, versions ...Version) Model {
	m := Model{Name: "m", Drift: d.WithDefaults(), Versions: versions}
	for _, v := range versions {
		m.Named = append(m.Named, v.Name)
	}
	return m
}

// follow follows models and reads their profiles.
func (n *node) follow(models ...Model) {
	n.t.Helper()
	n.Follow(models)
	for _, w := range n.watched() {
		for _, target := range w.targets {
			target.load(n.opts.Log)
		}
	}
}

// see counts rows for a version, one by one.
func (n *node) see(version string, random *rand.Rand, count int, shift float64) {
	n.t.Helper()
	target := n.Target("m", version)
	if target == nil {
		n.t.Fatalf("version %s is not watched", version)
	}
	for range count {
		s := &sample{of: target}
		s.inputs, s.outputs = rows(random, 1, shift)
		target.add(s, n.opts.Log)
	}
}

// write writes what the node has counted, pass judges what all have.
func (n *node) write() {
	for _, k := range n.books.of {
		k.next = time.Time{}
	}
	n.books.keep(n.t.Context(), false)
}

func (n *node) pass() {
	clear(n.judge.next)
	n.judge.pass(n.t.Context())
}

// reportIn is the report in a store.
func reportIn(t testing.TB, store *configstest.Store) *configs.DriftReport {
	t.Helper()
	r, err := configs.GetDriftReport(t.Context(), store, "m")
	if err != nil || r == nil {
		t.Fatalf("there is a report: %v, %v", r != nil, err)
	}
	return r
}

// judged is the newest judgement of a version against a reference.
func judged(t testing.TB, r *configs.DriftReport, version, reference string) configs.DriftComparison {
	t.Helper()
	c := r.Comparison(version, reference)
	if c == nil {
		t.Fatalf("version %s was not compared with %s: %s", version, reference, brief(r.Comparisons...))
	}
	return *c
}

// brief is what comparisons come to.
func brief(all ...configs.DriftComparison) string {
	var b strings.Builder
	for _, c := range all {
		fmt.Fprintf(&b, "[%s %s against %s: %d samples, insufficient %q, alarm %+v, quiet %d] ", c.Version, c.Reference, c.Against, c.Samples, c.Insufficient, c.Alarm, c.Quiet)
	}
	return b.String()
}
