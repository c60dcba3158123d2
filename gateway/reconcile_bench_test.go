package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// contents are real residents by the name of what they hold. They stay in
// memory until the test ends, so that a fake loader can hand them out and take
// them away as its test says.
type contents struct {
	t        testing.TB
	manager  *loader.Manager
	changed  chan struct{}
	wanted   []loader.Wanted
	resident map[string]*loader.Resident
	digest   map[string]string
}

func newContents(t testing.TB) *contents {
	t.Helper()
	c := &contents{t: t, changed: make(chan struct{}, 1), resident: map[string]*loader.Resident{}, digest: map[string]string{}}
	executor := batch.New(batch.Options{Permits: 1})
	c.manager = loader.New(loader.Options{
		Stores: store.NewRegistry(map[string]store.Store{"file": store.File{}}, nil),
		Open: func(_ context.Context, r loader.OpenRequest) (loader.Instance, error) {
			session := runtimetest.NewSession(&runtimetest.Fake{Signature: *r.Manifest.Signature})
			return Instance{executor.Instance(session, batch.InstanceOptions{Name: "content", Version: r.Wanted.Version})}, nil
		},
		OnChange: func() {
			select {
			case c.changed <- struct{}{}:
			default:
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.manager.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

// load returns the resident that holds some content.
func (c *contents) load(content string) *loader.Resident {
	if res := c.resident[content]; res != nil {
		return res
	}
	dir, digest := c.pack(content)
	w := loader.Wanted{Model: "content", Version: content, URI: "file:" + dir, Digest: digest}
	c.wanted = append(c.wanted, w)
	c.manager.SetWanted(c.wanted)
	for {
		<-c.changed
		res, st := c.manager.Lookup(w)
		if st.State == loader.StateFailed {
			c.t.Fatalf("content %s: %s", content, st.Reason)
		}
		if res != nil {
			c.resident[content], c.digest[content] = res, digest
			return res
		}
	}
}

// pack writes the artifact of some content: one whose name begins with breaks
// takes another input, one with widens gives another output besides.
func (c *contents) pack(content string) (dir, digest string) {
	model, manifest := artifacttest.Doubler(), artifacttest.DoublerManifest()
	switch {
	case strings.HasPrefix(content, "breaks"):
		model.Inputs[0].Name, manifest.Signature.Inputs[0].Name = "z", "z"
	case strings.HasPrefix(content, "widens"):
		model.Outputs = append(model.Outputs, artifacttest.Value{Name: "more", ElemType: 1, Shape: []int64{-1, 2}})
		manifest.Signature.Outputs = append(manifest.Signature.Outputs, manifest.Signature.Outputs[0])
		manifest.Signature.Outputs[1].Name = "more"
	default:
		return artifacttest.PackDoubler(c.t, content)
	}
	manifest.Goldens = nil
	return artifacttest.Pack(c.t, manifest, map[string][]byte{artifact.ModelFile: model.Bytes()})
}

// digestOf is the digest of some content.
func (c *contents) digestOf(content string) string {
	c.load(content)
	return c.digest[content]
}

// fakeLoader stands in for the loader: what is at a URI comes to life when the
// test says so, and is there only while it is wanted. It holds the reconciler
// to never letting go what the table points at.
type fakeLoader struct {
	t        interface{ Errorf(string, ...any) }
	contents *contents
	// state is how far the versions with content at a URI are, by content;
	// Ready where it is not named.
	state  map[string]loader.State
	tried  map[string]bool          // versions that failed before and are tried again
	more   map[string]loader.Status // what else the status says, by content
	wanted map[loader.Wanted]struct{}
	asked  []string
	router *router
}

// SetTerms takes any terms.
func (f *fakeLoader) SetTerms(map[loader.Wanted]loader.Terms) {}

// Ask notes which versions were asked for.
func (f *fakeLoader) Ask(w loader.Wanted) { f.asked = append(f.asked, w.Version) }

func (f *fakeLoader) SetWanted(all []loader.Wanted) {
	f.wanted = map[loader.Wanted]struct{}{}
	for _, w := range all {
		f.wanted[w] = struct{}{}
	}
	if f.router == nil {
		return
	}
	used := map[*loader.Resident]bool{}
	for w := range f.wanted {
		if res, _ := f.Lookup(w); res != nil {
			used[res] = true
		}
	}
	for _, m := range f.router.load().models {
		for _, v := range m.versions {
			if v.resident != nil && !used[v.resident] {
				f.t.Errorf("the loader is to let go of version %s of %s, which the table points at", v.version, m.name)
			}
		}
	}
}

func (f *fakeLoader) Lookup(w loader.Wanted) (*loader.Resident, loader.Status) {
	if _, ok := f.wanted[w]; !ok {
		return nil, loader.Status{Wanted: w}
	}
	content := strings.TrimPrefix(w.URI, "file:/")
	st := loader.Status{Wanted: w, State: f.state[content], Attempt: 1}
	if more, ok := f.more[content]; ok {
		more.Wanted, more.State = w, st.State
		st = more
	}
	if f.tried[content] {
		st.Attempt = 2
	}
	res := f.contents.load(content)
	switch {
	case w.Digest != "" && w.Digest != res.Digest():
		st.State, st.Reason = loader.StateFailed, "another digest"
		return nil, st
	case st.State == loader.StateFailed:
		st.Reason = "broken"
		return nil, st
	case st.State == loader.StateUnknown || st.State == loader.StateReady:
		st.State, st.Digest = loader.StateReady, res.Digest()
		return res, st
	}
	if st.State == loader.StateEvicted {
		st.Digest = res.Digest()
	}
	return nil, st
}

// bench is a reconciler with a simulated clock, a loader that does what the
// test says and a store whose keys the test writes. Nothing happens by itself.
type bench struct {
	t        testing.TB
	now      time.Time
	contents *contents
	loader   *fakeLoader
	store    *configstest.Store
	// link is what the gateway has of the store, nil where that is the store
	// itself; instance is its name, empty for the usual one.
	link     configs.Store
	instance string
	registry *prometheus.Registry
	log      *bytes.Buffer
	dir      string
	r        *reconciler
	next     time.Time // when the last pass wants to be called again
	// partial makes snapshots count as not whole, away as the copy on disk.
	partial, away bool
}

const minimalSettings = `{"schema": 1}`

func newBench(t testing.TB) *bench {
	return newBenchOf(t, t.TempDir(), newContents(t))
}

func newBenchOf(t testing.TB, dir string, c *contents) *bench {
	b := &bench{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), contents: c, store: configstest.NewStore(), dir: dir}
	b.loader = &fakeLoader{t: t, contents: c, state: map[string]loader.State{}, tried: map[string]bool{}}
	b.start()
	b.set("settings", minimalSettings)
	return b
}

// start makes a new process: whatever was in memory is gone.
func (b *bench) start() {
	b.t.Helper()
	b.registry, b.log = prometheus.NewPedanticRegistry(), &bytes.Buffer{}
	link := b.link
	if link == nil {
		link = b.store
	}
	opts := Options{
		Source: stillSource{}, Store: link, SourceID: "test", StateDir: b.dir, Locker: freely{}, Instance: cmp.Or(b.instance, "gw"), Version: "1.2.3",
		ModelVersion: configs.LatestVersion, MaxTensorBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(b.log, nil)),
		Now: func() time.Time { return b.now },
	}
	rt := newRouter()
	b.loader.router, b.loader.wanted = rt, nil
	b.r = newReconciler(opts, b.loader, rt, NewMetrics(b.registry))
	if err := b.r.seed(); err != nil {
		b.t.Fatal(err)
	}
}

// restart ends the process as a crash would, after what was to go to disk did.
func (b *bench) restart() {
	b.t.Helper()
	b.write()
	b.start()
}

// write does what the keeper's goroutine would.
func (b *bench) write() { b.r.keeper.flush() }

// stillSource is a source that is always connected.
type stillSource struct{}

func (stillSource) Run(ctx context.Context, _ func(configs.Snapshot)) error { <-ctx.Done(); return nil }
func (stillSource) State() configs.SourceState                              { return configs.SourceState{Connected: true} }

// set writes a key as somebody by hand, remove deletes it.
func (b *bench) set(key, value string) uint64 { return b.store.Set(key, value) }
func (b *bench) remove(keys ...string)        { b.store.Delete(keys...) }

// document writes a model's document: versions as "1:a 2:b" with what each
// holds, weights as "1=90 2=10".
func (b *bench) document(model, versions, weights string, more ...string) uint64 {
	return b.set("models/"+model, document(model, versions, weights, more...))
}

func document(model, versions, weights string, more ...string) string {
	fields := []string{fmt.Sprintf("%q: %q", "model", model)}
	var list []string
	for pair := range strings.FieldsSeq(versions) {
		version, content, _ := strings.Cut(pair, ":")
		content, digest, stated := strings.Cut(content, "@")
		text := fmt.Sprintf(`%q: {"uri": "file:/%s"}`, version, content)
		if stated {
			text = fmt.Sprintf(`%q: {"uri": "file:/%s", "digest": %q}`, version, content, digest)
		}
		list = append(list, text)
	}
	fields = append(fields, `"versions": {`+strings.Join(list, ", ")+`}`)
	if weights != "" {
		fields = append(fields, `"traffic": {"weights": `+weightsJSON(weights)+`}`)
	}
	return "{" + strings.Join(append(fields, more...), ", ") + "}"
}

func weightsJSON(weights string) string {
	var list []string
	for pair := range strings.FieldsSeq(weights) {
		version, weight, _ := strings.Cut(pair, "=")
		list = append(list, fmt.Sprintf("%q: %s", version, weight))
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// held writes a hold of a model's weights for some time from now.
func (b *bench) held(model, weights string, length time.Duration) uint64 {
	return b.set("overrides/"+model, fmt.Sprintf(`{"kind": "hold", "basis": "", "weights": %s, "by": "ada", "reason": "errors", "at": %q, "until": %q}`,
		weightsJSON(weights), b.now.Format(time.RFC3339), b.now.Add(length).Format(time.RFC3339)))
}

// deleteByName does what seguectl delete does.
func (b *bench) deleteByName(models ...string) {
	for _, model := range models {
		b.store.Delete("models/" + model)
		b.set("overrides/"+model, fmt.Sprintf(`{"kind": "delete", "basis": "", "by": "ada", "reason": "", "at": %q, "until": %q}`,
			b.now.Format(time.RFC3339), b.now.Add(configs.MaxHold).Format(time.RFC3339)))
	}
}

// snapshot is what the store holds now.
func (b *bench) snapshot() configs.Snapshot {
	items, index := b.store.All()
	s := configs.Snapshot{Index: index, Models: map[string]configs.Entry{}, Overrides: map[string]configs.Entry{}, Resolved: map[string]configs.Entry{}, FromLastGood: b.away}
	for _, item := range items {
		kind, name, _ := strings.Cut(item.Key, "/")
		e := configs.Entry{Name: name, Value: item.Value, Index: item.Index, Where: item.Key, WrittenByTool: item.Tool}
		switch kind {
		case "models":
			s.Models[name] = e
		case "overrides":
			s.Overrides[name] = e
		case "resolved":
			s.Resolved[name] = e
		case "settings":
			e.Name = "settings"
			s.Settings = &e
		}
	}
	s.Authoritative = s.Settings != nil && !b.partial && !b.away
	return s
}

// read hands the newest snapshot over, as the source does.
func (b *bench) read() {
	b.r.ingest(b.snapshot())
	b.pass()
}

// pass is one pass of the reconciler, and the work of its goroutines.
func (b *bench) pass() {
	b.next = b.r.pass(b.now)
	audits := b.r.audit.jobs
	if errors.Is(b.store.Failing(), configs.ErrUnreachable) {
		audits = nil // they wait for the store
	}
	for {
		select {
		case d := <-b.r.decisions.jobs:
			b.r.decisions.finish(context.Background(), d)
			continue
		case job := <-audits:
			b.r.audit.finish(context.Background(), job)
			continue
		default:
		}
		return
	}
}

// after lets time pass.
func (b *bench) after(d time.Duration) {
	b.now = b.now.Add(d)
	b.pass()
}

// becomes says how far the versions with some content are.
func (b *bench) becomes(state loader.State, content ...string) {
	for _, c := range content {
		b.loader.state[c] = state
	}
	b.pass()
}

// serving describes how the table answers for a model: the index, then each
// version with its share in percent and what it holds, or "-" where it is not
// in memory.
func (b *bench) serving(model string) string {
	m := b.r.router.load().models[model]
	if m == nil {
		return "no such model"
	}
	if m.split == nil {
		return "nothing: " + m.reason
	}
	text := m.index
	for _, version := range m.order {
		content := "-"
		for name, res := range b.contents.resident {
			if res == m.versions[version].resident {
				content = name
			}
		}
		text += fmt.Sprintf(" %s=%s%s", version, strconv.FormatFloat(100*m.split.Share(version), 'g', 4, 64), content)
	}
	return text
}

// wants compares how a model is served with what is expected.
func (b *bench) wants(model, format string, args ...any) {
	b.t.Helper()
	if got, want := b.serving(model), fmt.Sprintf(format, args...); got != want {
		b.t.Errorf("%s is served as %q, want %q", model, got, want)
	}
}

func (b *bench) status(model string) configs.ModelStatus {
	return b.r.status.newest.Load().Models[model]
}

// waitsFor compares what status says is awaited.
func (b *bench) waitsFor(model, want string) {
	b.t.Helper()
	if got := b.status(model).Waiting; got != want && (want == "" || !strings.Contains(got, want)) {
		b.t.Errorf("%s waits for %q, want %q", model, got, want)
	}
}

// metric is the value of one series, empty where there is none.
func (b *bench) metric(name string, labels ...string) string {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if !slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
					continue series
				}
			}
			switch {
			case m.Gauge != nil:
				return strconv.FormatFloat(m.Gauge.GetValue(), 'g', -1, 64)
			case m.Counter != nil:
				return strconv.FormatFloat(m.Counter.GetValue(), 'g', -1, 64)
			case m.Histogram != nil:
				return strconv.FormatUint(m.Histogram.GetSampleCount(), 10)
			}
		}
	}
	return ""
}

func (b *bench) wantsMetric(want, name string, labels ...string) {
	b.t.Helper()
	if got := b.metric(name, labels...); got != want {
		b.t.Errorf("%s%v is %q, want %q", name, labels, got, want)
	}
}
