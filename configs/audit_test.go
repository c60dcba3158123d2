package configs_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

func recordAt(index uint64, document string) configs.AuditRecord {
	return configs.AuditRecord{
		Model: "mozart", Index: index, Event: "put", At: time.Date(2025, 3, 1, 12, 0, int(index%60), 0, time.UTC),
		Who: configs.AuditWho{User: "ada"}, Reason: "because", Document: document, Outcome: "written",
	}
}

func TestAuditKeysSortAsIndexesAndComeApart(t *testing.T) {
	t.Parallel()
	indexes := []uint64{0, 1, 9, 10, 99, 100, 1 << 32, 1<<64 - 1}
	var made []string
	for _, index := range indexes {
		key := configs.AuditKey("mozart", index, "put")
		made = append(made, key)
		model, got, event, ok := configs.ParseAuditKey(key)
		if !ok || model != "mozart" || got != index || event != "put" {
			t.Errorf("ParseAuditKey(%q) = %q, %d, %q, %v", key, model, got, event, ok)
		}
	}
	if !slices.IsSorted(made) {
		t.Errorf("keys do not sort as their indexes do: %q", made)
	}
	if want := "audit/mozart/00000000000000000017-put"; configs.AuditKey("mozart", 17, "put") != want {
		t.Errorf("key is %q, want %q", configs.AuditKey("mozart", 17, "put"), want)
	}
}

func TestOtherKeysAreNoAuditKeys(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "audit/", "audit/mozart", "audit//00000000000000000017-put", "audit/mozart/17-put",
		"audit/mozart/00000000000000000017", "audit/mozart/00000000000000000017-",
		"audit/mozart/+0000000000000000017-put", "audit/mozart/99999999999999999999-put",
		"audit/mozart/00000000000000000017-Put", "audit/mozart/00000000000000000017-a/b",
		"models/mozart/00000000000000000017-put", "audit/mozart/0000000000000000001x-put",
		"audit/mozart/00000000000000000017-" + strings.Repeat("x", 33),
	} {
		if model, index, event, ok := configs.ParseAuditKey(key); ok {
			t.Errorf("ParseAuditKey(%q) = %q, %d, %q, want none", key, model, index, event)
		}
	}
}

func FuzzParseAuditKeyAgreesWithAuditKey(f *testing.F) {
	f.Add("audit/mozart/00000000000000000017-put")
	f.Add("audit/_settings/00000000000000000001-freeze")
	f.Fuzz(func(t *testing.T, key string) {
		if model, index, event, ok := configs.ParseAuditKey(key); ok && configs.AuditKey(model, index, event) != key {
			t.Errorf("%q comes apart as %q, %d, %q, which is another key", key, model, index, event)
		}
	})
}

func TestRecordsComeBackNewestFirst(t *testing.T) {
	t.Parallel()
	store, ctx := configstest.NewStore(), t.Context()
	for _, index := range []uint64{7, 100, 12} {
		if err := configs.RecordAudit(ctx, store, recordAt(index, fmt.Sprintf("a < %d & b", index))); err != nil {
			t.Fatal(err)
		}
	}
	other := recordAt(50, "x")
	other.Model = "mozart2"
	if err := configs.RecordAudit(ctx, store, other); err != nil {
		t.Fatal(err)
	}
	records, err := configs.ListAudit(ctx, store, "mozart")
	if err != nil {
		t.Fatal(err)
	}
	want := []configs.AuditRecord{recordAt(100, "a < 100 & b"), recordAt(12, "a < 12 & b"), recordAt(7, "a < 7 & b")}
	if !reflect.DeepEqual(records, want) {
		t.Errorf("records are\n%+v\nwant\n%+v", records, want)
	}
	if text := string(store.Item(configs.AuditKey("mozart", 7, "put")).Value); !strings.Contains(text, `"document":"a < 7 & b"`) {
		t.Errorf("people cannot read the document in %s", text)
	}
}

func TestOneChangeIsRecordedOnce(t *testing.T) {
	t.Parallel()
	store, ctx := configstest.NewStore(), t.Context()
	first := recordAt(7, "one")
	if err := configs.RecordAudit(ctx, store, first); err != nil {
		t.Fatal(err)
	}
	again := first
	again.At, again.Who = first.At.Add(time.Minute), configs.AuditWho{User: "another gateway"}
	if err := configs.RecordAudit(ctx, store, again); err != nil {
		t.Errorf("the same change recorded by somebody else: %v, want nil", err)
	}
	if err := configs.RecordAudit(ctx, store, recordAt(7, "two")); !errors.Is(err, configs.ErrConflict) {
		t.Errorf("another change under the same key: %v, want ErrConflict", err)
	}
	records, err := configs.ListAudit(ctx, store, "mozart")
	if err != nil || !reflect.DeepEqual(records, []configs.AuditRecord{first}) {
		t.Errorf("records are %+v, %v, want the first one alone", records, err)
	}
}

func TestTheLastHundredRecordsAreKept(t *testing.T) {
	t.Parallel()
	store, ctx := configstest.NewStore(), t.Context()
	for index := uint64(1); index <= configs.AuditKept+5; index++ {
		if index == configs.AuditKept+3 {
			// Somebody else prunes at the same time.
			store.BeforeApply(func() { store.BeforeApply(func() { store.Delete(configs.AuditKey("mozart", 3, "put")) }) })
		}
		if err := configs.RecordAudit(ctx, store, recordAt(index, "x")); err != nil {
			t.Fatal(err)
		}
	}
	records, err := configs.ListAudit(ctx, store, "mozart")
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != configs.AuditKept || records[0].Index != configs.AuditKept+5 || records[len(records)-1].Index != 6 {
		t.Errorf("%d records from %d to %d, want %d from 105 to 6", len(records), records[0].Index, records[len(records)-1].Index, configs.AuditKept)
	}
}

func TestARecordThatIsNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, spoil := range []func(*configs.AuditRecord){
		func(r *configs.AuditRecord) { r.Model = "" },
		func(r *configs.AuditRecord) { r.Model = "a/b" },
		func(r *configs.AuditRecord) { r.Event = "put/x" },
		func(r *configs.AuditRecord) { r.Event = "" },
	} {
		store, record := configstest.NewStore(), recordAt(1, "x")
		spoil(&record)
		if err := configs.RecordAudit(t.Context(), store, record); err == nil || len(store.Keys()) > 0 {
			t.Errorf("model %q, event %q: %v and %d keys, want an error and none", record.Model, record.Event, err, len(store.Keys()))
		}
	}
}

func TestSettingsCanBeRecordedAndAreNoModel(t *testing.T) {
	t.Parallel()
	if configs.CheckName(configs.AuditSettings) == nil {
		t.Errorf("a model can be called %q", configs.AuditSettings)
	}
	store, record := configstest.NewStore(), recordAt(3, `{"schema": 1}`)
	record.Model = configs.AuditSettings
	if err := configs.RecordAudit(t.Context(), store, record); err != nil {
		t.Fatal(err)
	}
	if records, err := configs.ListAudit(t.Context(), store, configs.AuditSettings); err != nil || len(records) != 1 {
		t.Errorf("%d records, %v, want 1", len(records), err)
	}
}

func TestWritersAreNamedForPeople(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		who  configs.AuditWho
		want string
	}{
		{configs.AuditWho{User: configs.DirectWriter}, "direct write"},
		{configs.AuditWho{TokenAccessor: "abc"}, "token abc"},
		{configs.AuditWho{TokenAccessor: "abc", User: "ada"}, "ada (token abc)"},
	} {
		if got := c.who.String(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.who, got, c.want)
		}
	}
}
