package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

// records are the audit's records of a model, oldest first.
func (b *bench) records(model string) (records []configs.AuditRecord) {
	b.t.Helper()
	items, _ := b.store.List(context.Background(), configs.AuditPrefix+model+"/")
	for _, item := range items {
		var r configs.AuditRecord
		if err := json.Unmarshal(item.Value, &r); err != nil {
			b.t.Fatal(err)
		}
		if item.Key != configs.AuditKey(model, r.Index, r.Event) || !item.Tool {
			b.t.Errorf("record %+v under %s", r, item.Key)
		}
		records = append(records, r)
	}
	return records
}

func TestADirectWriteIsRecordedWithWhatCameOfIt(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a", "1=100")
	text := string(b.store.Item("models/mozart").Value)
	b.read()
	second := b.set("models/mozart", `{"model": "mozart", "colour": 1}`)
	b.read()
	b.wantsMetric("3", "segue_consul_writes_total", "kind=audit", "outcome=ok") // the settings' too
	records := b.records("mozart")
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	want := configs.AuditRecord{Model: "mozart", Index: first, Event: configs.EventDocument, At: b.now,
		Who: configs.AuditWho{User: configs.DirectWriter}, Document: text, Outcome: "accepted"}
	if records[0] != want {
		t.Errorf("got %+v, want %+v", records[0], want)
	}
	if got := records[1]; got.Index != second || got.BeforeDigest != configs.EntryDigest([]byte(text)) ||
		!strings.HasPrefix(got.Outcome, "refused: ") || !strings.Contains(got.Outcome, "colour") || !strings.Contains(got.Outcome, "versions") {
		t.Errorf("got %+v", got)
	}
	if got := b.records(configs.AuditSettings); len(got) != 1 || got[0].Document != minimalSettings {
		t.Errorf("settings: %+v", got)
	}
}

func TestWhatTheToolWroteItRecordsItself(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	item := b.store.Item("models/mozart")
	if _, err := b.store.Apply(t.Context(), configs.Write{Key: item.Key, Value: item.Value, Index: item.Index, Tool: true}); err != nil {
		t.Fatal(err)
	}
	b.read()
	if got := b.records("mozart"); len(got) != 0 {
		t.Errorf("recorded %+v", got)
	}
}

func TestARestartRecordsNothingAgain(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.read()
	b.set("models/mozart", "{")
	b.read()
	before := b.store.Writes()
	for _, fresh := range []bool{false, true} {
		b.write()
		if fresh {
			b.dir = t.TempDir() // another gateway, which knows nothing
		}
		b.start()
		b.read()
		if !slices.Equal(b.store.Writes(), before) {
			t.Errorf("fresh %v: written %q", fresh, b.store.Writes()[len(before):])
		}
	}
}

func TestWhatWasWrittenWhileTheGatewayWasDownIsRecordedWithWhatItReplaced(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	before := configs.EntryDigest(b.store.Item("models/mozart").Value)
	b.read()
	b.write()
	b.document("mozart", "1:a 2:b", "2=100")
	b.start()
	b.read()
	if got := b.records("mozart"); len(got) != 2 || got[1].BeforeDigest != before {
		t.Errorf("records %+v", got)
	}
}

func TestACopyOnDiskIsNoWrite(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.away = true
	b.read()
	if len(b.store.Writes()) != 0 {
		t.Errorf("written %q", b.store.Writes())
	}
	// What was written while the gateway was away is recorded when it is seen.
	b.away = false
	b.document("mozart", "1:b", "1=100")
	b.read()
	if got := b.records("mozart"); len(got) != 1 || got[0].BeforeDigest == "" {
		t.Errorf("records %+v", got)
	}
}

func TestARecordIsCreatedOnce(t *testing.T) {
	b := newBench(t)
	index := b.document("mozart", "1:a", "1=100")
	b.set(configs.AuditKey("mozart", index, configs.EventDocument), "somebody else's")
	b.read()
	if got := b.store.Item(configs.AuditKey("mozart", index, configs.EventDocument)); string(got.Value) != "somebody else's" {
		t.Errorf("overwritten: %s", got.Value)
	}
	b.wantsMetric("1", "segue_consul_writes_total", "kind=audit", "outcome=conflict")
}

func TestWritesWaitForAStoreThatIsAwayAndKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry := configstest.NewStore(), prometheus.NewRegistry()
		store.FailWrites(fmt.Errorf("apply: %w", configs.ErrUnreachable))
		var log strings.Builder
		m := NewMetrics(registry)
		a := newAuditor(store, slog.New(slog.NewTextHandler(&log, nil)), time.Now, m)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.run(ctx) }()
		a.document("mozart", configs.Entry{}, configs.Entry{Index: 1, Value: []byte("{}")}, nil)
		a.document("haydn", configs.Entry{}, configs.Entry{Index: 2, Value: []byte("{}")}, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(store.Writes()) != 0 || log.Len() > 0 {
			t.Errorf("written %q, said %s", store.Writes(), log.String())
		}
		store.FailWrites(nil)
		time.Sleep(auditRetry)
		synctest.Wait()
		if want := []string{"write " + configs.AuditKey("mozart", 1, "document"), "write " + configs.AuditKey("haydn", 2, "document")}; !slices.Equal(store.Writes(), want) {
			t.Errorf("written %q, want %q", store.Writes(), want)
		}
		// What the store refuses is said and not tried again.
		store.FailWrites(fmt.Errorf("apply: %w", configs.ErrForbidden))
		a.document("bach", configs.Entry{}, configs.Entry{Index: 3}, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if strings.Count(log.String(), "cannot write") != 1 {
			t.Errorf("said %s", log.String())
		}
		// The end does not wait for a store that is away.
		store.FailWrites(errors.Join(configs.ErrUnreachable))
		a.dropOverride("bach", 3, nil)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWhatIsOwedIsBounded(t *testing.T) {
	var log strings.Builder
	a := newAuditor(configstest.NewStore(), slog.New(slog.NewTextHandler(&log, nil)), time.Now, NewMetrics(prometheus.NewRegistry()))
	for range auditQueue + 1 {
		a.dropOverride("mozart", 1, nil)
	}
	if strings.Count(log.String(), "left out") != 1 {
		t.Errorf("said %s", log.String())
	}
}
