package gateway

import (
	"math"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

func TestTheStatusShowsWhatIsWantedBesideWhatIsInForce(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a 2:b", "1=3 2=1")
	firstText := b.store.Item("models/mozart").Value
	b.read()
	b.loader.state["c"] = loader.StateFailed
	second := b.document("mozart", "1:a 3:c", "3=100")
	b.read()
	s := *b.r.status.newest.Load()
	if s.Instance != "gw" || s.Version != "1.2.3" || !s.At.Equal(b.now) || s.Config.Index != b.store.Index()-1 && s.Config.Index > b.store.Index() {
		t.Errorf("%+v", s)
	}
	m := s.Models["mozart"]
	if m.Index != first || m.WantedIndex != second || !m.Enforces(configs.EntryDigest(firstText)) || !m.Wants(configs.EntryDigest(b.store.Item("models/mozart").Value)) {
		t.Errorf("%+v", m)
	}
	if len(m.Weights) != 2 || m.Weights["1"] != 0.75 || m.Weights["2"] != 0.25 {
		t.Errorf("weights %v", m.Weights)
	}
	if len(m.Versions) != 3 || m.Versions["1"].State != configs.VersionReady || m.Versions["1"].Digest != b.contents.digestOf("a") ||
		m.Versions["2"].State != configs.VersionReady || m.Versions["3"].State != configs.VersionFailed || m.Versions["3"].Reason != "broken" {
		t.Errorf("versions %+v", m.Versions)
	}
}

func TestAStatusIsSentOnlyWhereItSaysSomethingNew(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.read()
	<-b.r.status.updates
	b.after(1)
	select {
	case s := <-b.r.status.updates:
		t.Errorf("sent again: %s", s)
	default:
	}
	b.document("mozart", "1:a", "1=100")
	b.read()
	b.document("mozart", "1:b", "1=100")
	b.read()
	sent, err := configs.ParseStatus(<-b.r.status.updates)
	if err != nil || sent.Models["mozart"].WantedIndex != b.store.Item("models/mozart").Index {
		t.Errorf("not the newest: %+v %v", sent, err)
	}
}

func TestSharesSumToOneAndNameEveryVersion(t *testing.T) {
	doc := &configs.Document{Versions: map[string]configs.Version{"1": {}, "2": {}, "3": {}}}
	got := shares(map[string]float64{"1": 0.2, "2": 0.6}, doc)
	if len(got) != 3 || math.Abs(got["1"]-0.25) > 1e-12 || math.Abs(got["2"]-0.75) > 1e-12 || got["3"] != 0 {
		t.Errorf("%v", got)
	}
}

func TestTheStatusSaysHowFarAVersionIsAndWhenItIsTriedAgain(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "1=50 2=50")
	at := b.now.Add(time.Minute)
	b.loader.more = map[string]loader.Status{
		"a": {Fetched: 12, Size: 40, Attempt: 3, Reason: "connection reset"},
		"b": {Fetched: 12, Size: 40, Attempt: 2, RetryAt: at},
	}
	b.loader.state["a"], b.loader.state["b"] = loader.StateFetching, loader.StateFailed
	b.read()
	got := b.status("mozart").Versions
	if v := got["1"]; v.FetchedBytes != 12 || v.SizeBytes != 40 || v.Attempt != 3 || v.Reason != "connection reset" || !v.RetryAt.IsZero() {
		t.Errorf("version 1: %+v", v)
	}
	if v := got["2"]; v.FetchedBytes != 0 || v.SizeBytes != 0 || v.Attempt != 2 || v.Reason != "broken" || !v.RetryAt.Equal(at) {
		t.Errorf("version 2: %+v", v)
	}
}
