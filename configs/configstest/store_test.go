package configstest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

func TestAStoreInMemoryIsAStore(t *testing.T) {
	configstest.Conformance(t, func(*testing.T) configs.Store { return configstest.NewStore() })
}

func TestOthersWritePastCheckAndSet(t *testing.T) {
	s, ctx := configstest.NewStore(), t.Context()
	if index := s.Set("models/a", "one"); index != 1 || s.Index() != 1 {
		t.Errorf("set at %d, the store is at %d", index, s.Index())
	}
	if index := s.Set("models/a", "one"); index != 2 {
		t.Errorf("set again at %d", index)
	}
	s.Delete("models/a", "models/b")
	if item := s.Item("models/a"); item.Index != 0 || s.Index() != 3 || len(s.Keys()) > 0 {
		t.Errorf("after the deletion: %+v, index %d, keys %q", item, s.Index(), s.Keys())
	}
	s.Restore(40)
	if index, err := s.Apply(ctx, configs.Write{Key: "models/a", Value: []byte("two")}); index != 41 || err != nil {
		t.Errorf("after another index: %d, %v", index, err)
	}
	if _, err := s.Apply(ctx, configs.Write{Key: "models/a", Delete: true, Index: 41}); err != nil {
		t.Fatal(err)
	}
	s.Set("models/b", "three")
	if items, index := s.All(); index != 43 || len(items) != 1 || items[0].Key != "models/b" || string(items[0].Value) != "three" {
		t.Errorf("all %+v at %d", items, index)
	}
	if want := []string{"write models/a", "delete models/a"}; !slices.Equal(s.Writes(), want) {
		t.Errorf("writes %q, want %q", s.Writes(), want)
	}
}

func TestSomebodyElseIsQuickerOnce(t *testing.T) {
	s := configstest.NewStore()
	s.BeforeApply(func() { s.Set("models/a", "theirs") })
	if _, err := s.Apply(t.Context(), configs.Write{Key: "models/a", Value: []byte("ours")}); !errors.Is(err, configs.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if _, err := s.Apply(t.Context(), configs.Write{Key: "models/a", Value: []byte("ours"), Index: 1}); err != nil || string(s.Item("models/a").Value) != "ours" {
		t.Errorf("%v, %q", err, s.Item("models/a").Value)
	}
}

func TestAStoreThatFailsChangesNothing(t *testing.T) {
	s, ctx := configstest.NewStore(), t.Context()
	s.Set("models/a", "one")
	asked := func(reads, writes error) {
		t.Helper()
		if _, _, err := s.Get(ctx, "models/a"); !errors.Is(err, reads) || reads == nil && err != nil {
			t.Errorf("get: %v, want %v", err, reads)
		}
		if _, err := s.List(ctx, ""); !errors.Is(err, reads) || reads == nil && err != nil {
			t.Errorf("list: %v, want %v", err, reads)
		}
		_, err := s.Apply(ctx, configs.Write{Key: "models/b", Value: []byte("x"), Index: s.Item("models/b").Index})
		if !errors.Is(err, writes) || writes == nil && err != nil || !errors.Is(s.Failing(), writes) {
			t.Errorf("apply: %v, want %v", err, writes)
		}
		if written := s.Item("models/b").Index > 0; written != (writes == nil) {
			t.Errorf("written: %v", written)
		}
	}
	s.FailWrites(configs.ErrForbidden)
	asked(nil, configs.ErrForbidden)
	s.Fail(configs.ErrUnreachable)
	asked(configs.ErrUnreachable, configs.ErrUnreachable)
	s.Fail(nil)
	asked(nil, nil)
}
