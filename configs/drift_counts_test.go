package configs_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

var driftAt = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func countsOf(model, epoch string) configs.DriftCounts {
	return configs.DriftCounts{Model: model, Epoch: epoch, At: driftAt, Streams: []configs.DriftStream{
		{Name: configs.DriftStreamOf("1"), Window: 7, Counts: map[string][]byte{"1": {1, 2}}, Day: []byte{3}},
	}}
}

func TestEachWriterHasCountsOfItsOwn(t *testing.T) {
	t.Parallel()
	store, ctx := configstest.NewStore(), t.Context()
	for _, c := range []configs.DriftCounts{countsOf("mozart", "b-1"), countsOf("mozart", "a-1"), countsOf("mozart2", "a-1")} {
		if _, err := configs.PutDriftCounts(ctx, store, c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := configs.PutDriftCounts(ctx, store, countsOf("mozart", "a-1")); !errors.Is(err, configs.ErrConflict) {
		t.Errorf("over another writer's: %v", err)
	}
	for _, key := range []string{"drift/mozart/broken", "drift/mozart/a/b"} {
		store.Set(key, "{")
	}
	all, report, err := configs.ListDrift(ctx, store, "mozart")
	if err != nil || report != nil || len(all) != 2 {
		t.Fatalf("%+v, %+v, %v", all, report, err)
	}
	for i, epoch := range []string{"a-1", "b-1"} {
		want := countsOf("mozart", epoch)
		want.Index = store.Item(want.Key()).Index
		if !reflect.DeepEqual(all[i], want) {
			t.Errorf("got  %+v\nwant %+v", all[i], want)
		}
	}
}

func TestCountsThatCannotBeStoredAreRefused(t *testing.T) {
	t.Parallel()
	large := countsOf("m", "e")
	large.Streams[0].Day = make([]byte, configs.MaxDriftBytes)
	for _, c := range []configs.DriftCounts{countsOf("", "e"), countsOf("m", "e/f"), countsOf("m", ".."), large} {
		store := configstest.NewStore()
		if _, err := configs.PutDriftCounts(t.Context(), store, c); err == nil || len(store.Keys()) > 0 {
			t.Errorf("%.60q: %v", c.Key(), err)
		}
	}
}

func TestAReportIsWrittenOverTheOneThatWasRead(t *testing.T) {
	t.Parallel()
	store, ctx := configstest.NewStore(), t.Context()
	if r, err := configs.GetDriftReport(ctx, store, "mozart"); r != nil || err != nil {
		t.Fatalf("before the first: %+v, %v", r, err)
	}
	want := &configs.DriftReport{
		Model: "mozart", At: driftAt, By: "gw", Windows: map[string]configs.DriftWindowAt{"version/1": {Number: 3, Basis: "abc", Started: driftAt}},
		Comparisons: []configs.DriftComparison{{Version: "1", Against: "1", Reference: configs.CompareTraining, From: driftAt, To: driftAt.Add(time.Hour), Samples: 1000,
			Alarm: &configs.DriftAlarm{ID: "x", Since: driftAt, Features: []string{"age"}}, Result: []byte(`{"n":1}`)}},
		Unsent: []configs.DriftEvent{{ID: "x-raised", Kind: configs.DriftRaised, At: driftAt, Version: "1"}},
	}
	index, err := configs.PutDriftReport(ctx, store, want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := configs.PutDriftReport(ctx, store, want); !errors.Is(err, configs.ErrConflict) {
		t.Errorf("over another's: %v", err)
	}
	want.Index = index
	got, err := configs.GetDriftReport(ctx, store, "mozart")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if got.Comparison("1", configs.CompareTraining) == nil || got.Comparison("1", configs.CompareLastWeek) != nil || got.Comparison("2", configs.CompareTraining) != nil {
		t.Error("comparisons are not found")
	}
	if _, listed, err := configs.ListDrift(ctx, store, "mozart"); err != nil || !reflect.DeepEqual(listed, want) {
		t.Errorf("listed %+v, %v", listed, err)
	}
	// What is no report is an empty one, which is written over.
	index = store.Set(want.Key(), "{")
	if got, err := configs.GetDriftReport(ctx, store, "mozart"); err != nil || got.Index != index || len(got.Windows) != 0 || len(got.Comparisons) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDriftOfModelsThatAreNotComparedIsSweptAfterADay(t *testing.T) {
	t.Parallel()
	store, ctx := configstest.NewStore(), t.Context()
	for _, c := range []configs.DriftCounts{countsOf("mozart", "a"), countsOf("gone", "a"), countsOf("gone", "b"), countsOf("stolen", "a")} {
		if c.Epoch == "b" {
			c.At = driftAt.Add(time.Hour)
		}
		if _, err := configs.PutDriftCounts(ctx, store, c); err != nil {
			t.Fatal(err)
		}
	}
	store.BeforeApply(func() { store.Delete("drift/stolen/a") })
	swept, err := configs.SweepDrift(ctx, store, driftAt.Add(24*time.Hour), func(model string) bool { return model == "mozart" })
	if left := store.Keys(); err != nil || swept < 1 || !slices.Equal(left, []string{"drift/gone/b", "drift/mozart/a"}) {
		t.Errorf("%d swept, %v, left are %q", swept, err, left)
	}
}
