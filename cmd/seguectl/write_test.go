package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

func TestAWriteOnTopOfSomebodyElsesIsRefused(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "mozart.json", mozart(`{"1": 50, "2": 50}`))
	settings := writeFile(t, "_settings.json", `{"schema": 1}`)
	for _, c := range []struct {
		args []string
		key  string
	}{
		{[]string{"put", file}, "models/mozart"},
		{[]string{"put", settings}, "settings"},
		{[]string{"weights", "mozart", "2=100"}, "models/mozart"},
		{[]string{"weights", "mozart", "2=100", "--hold", "1h", "--reason", "x"}, "overrides/mozart"},
		{[]string{"release", "mozart"}, "overrides/mozart"},
		{[]string{"freeze"}, "settings"},
		{[]string{"delete", "mozart"}, "models/mozart"},
		{[]string{"delete", "mozart"}, "overrides/mozart"},
		{[]string{"revert", "mozart", "--to", "1"}, "models/mozart"},
	} {
		t.Run(strings.Join(c.args[:1], " ")+" "+c.key, func(t *testing.T) {
			store := configstest.NewStore()
			store.Set("models/mozart", mozart(`{"1": 100}`))
			store.Set("settings", `{"schema": 1, "delete_grace": "1s"}`)
			store.Set("overrides/mozart", "{}")
			if err := configs.RecordAudit(t.Context(), store, configs.AuditRecord{Model: "mozart", Index: 1, Event: "put", Document: mozart(`{"2": 1}`)}); err != nil {
				t.Fatal(err)
			}
			const theirs = `{"written": "by somebody else"}`
			store.BeforeApply(func() { store.Set(c.key, theirs) })
			records := len(store.Keys())
			r := newRun(store)
			if code := r.code(t, append(c.args, "--json")...); code != exitConflict {
				t.Errorf("exit code %d, want %d: %s", code, exitConflict, &r.stderr)
			}
			if got := string(store.Item(c.key).Value); got != theirs {
				t.Errorf("somebody else's write is now %s", got)
			}
			if len(store.Keys()) != records {
				t.Errorf("%d keys, want %d: something else was written", len(store.Keys()), records)
			}
			if !strings.Contains(r.stdout.String(), `"exit_code": 4`) {
				t.Errorf("standard output has no exit code: %s", &r.stdout)
			}
		})
	}
}

func TestInitWelcomesWhoeverWritesSettingsFirst(t *testing.T) {
	t.Parallel()
	store := configstest.NewStore()
	store.BeforeApply(func() { store.Set("settings", `{"schema": 1, "freeze": true}`) })
	r := newRun(store)
	if code := r.code(t, "init"); code != exitDone || !strings.Contains(r.stdout.String(), "settings: there already") {
		t.Errorf("exit code %d: %s%s", code, &r.stdout, &r.stderr)
	}
}

// auditless is a store that takes everything but audit.
type auditless struct{ *configstest.Store }

func (a auditless) Apply(ctx context.Context, writes ...configs.Write) (uint64, error) {
	for _, w := range writes {
		if strings.HasPrefix(w.Key, configs.AuditPrefix) {
			return 0, configs.ErrForbidden
		}
	}
	return a.Store.Apply(ctx, writes...)
}

func TestAChangeWithoutItsRecordIsAFailureThatSaysSo(t *testing.T) {
	t.Parallel()
	r := newRun(configstest.NewStore())
	r.cli.open = func(context.Context, string, string) (*source, error) {
		return &source{Store: auditless{r.store}, kind: "file"}, nil
	}
	if code := r.code(t, "put", writeFile(t, "mozart.json", mozart(`{"1": 1}`)), "--json"); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if !strings.Contains(r.stderr.String(), "the change is written at index 1, but its audit record is not") {
		t.Errorf("standard error: %s", &r.stderr)
	}
	if !strings.Contains(r.stdout.String(), `"changed": true`) {
		t.Errorf("standard output does not say that something changed: %s", &r.stdout)
	}
}

func TestEveryDocumentThatIsWrittenIsMarkedAndRecorded(t *testing.T) {
	t.Parallel()
	store := configstest.NewStore()
	r := newRun(store)
	if code := r.code(t, "put", writeFile(t, "mozart.json", mozart(`{"1": 1}`)), "--reason", "because"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.stderr)
	}
	if !store.Item("models/mozart").Tool {
		t.Error("the document is not marked as the tool's")
	}
	records, err := configs.ListAudit(t.Context(), store, "mozart")
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	want := configs.AuditRecord{
		Model: "mozart", Index: 1, Event: "put", At: r.now, Who: configs.AuditWho{User: "tester"},
		Reason: "because", Document: mozart(`{"1": 1}`), Outcome: "written",
	}
	if records[0] != want {
		t.Errorf("record is\n%+v\nwant\n%+v", records[0], want)
	}
}

func TestQuestionsAreAskedOfPeopleAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		interactive bool
		answer      string
		args        []string
		code        int
		asked       bool
	}{
		{"no terminal", false, "n\n", nil, exitDone, false},
		{"yes", true, "y\n", nil, exitDone, true},
		{"long yes", true, "YES\n", nil, exitDone, true},
		{"no", true, "n\n", nil, exitFailed, true},
		{"nothing", true, "\n", nil, exitFailed, true},
		{"end of input", true, "", nil, exitFailed, true},
		{"--yes", true, "n\n", []string{"--yes"}, exitDone, false},
		{"dry run", true, "n\n", []string{"--dry-run"}, exitDone, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := configstest.NewStore()
			store.Set("models/mozart", mozart(`{"1": 90, "2": 10}`))
			r := newRun(store)
			r.cli.interactive, r.cli.stdin = c.interactive, strings.NewReader(c.answer)
			if code := r.code(t, append([]string{"weights", "mozart", "1=100"}, c.args...)...); code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, &r.stderr)
			}
			if asked := strings.Contains(r.stderr.String(), "[y/N]"); asked != c.asked {
				t.Errorf("asked %v, want %v: %s", asked, c.asked, &r.stderr)
			}
		})
	}
}

func TestAnInterruptEndsAQuestion(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	never, end := io.Pipe()
	defer end.Close()
	r := newRun(configstest.NewStore())
	r.store.Set("models/mozart", mozart(`{"1": 90, "2": 10}`))
	r.cli.interactive, r.cli.stdin = true, never
	r.cli.stderr = writerFunc(func(text []byte) (int, error) {
		if strings.Contains(string(text), "[y/N]") {
			cancel()
		}
		return r.stderr.Write(text)
	})
	if code := r.cli.main(ctx, []string{"weights", "mozart", "1=100"}); code != exitInterrupted {
		t.Errorf("exit code %d, want %d: %s", code, exitInterrupted, &r.stderr)
	}
	if r.store.Index() != 1 {
		t.Error("something was written")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }

func TestErrorsHaveTheirExitCodes(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), nil, 0},
		{t.Context(), errors.New("x"), 1},
		{t.Context(), fmt.Errorf("x: %w", configs.ErrForbidden), 1},
		{t.Context(), fmt.Errorf("x: %w", usageError{errors.New("y")}), 2},
		{t.Context(), fmt.Errorf("x: %w", configs.ErrUnreachable), 3},
		{t.Context(), fmt.Errorf("x: %w", configs.ErrConflict), 4},
		{t.Context(), errChanges, 5},
		{cancelled, fmt.Errorf("x: %w", context.Canceled), 130},
		{cancelled, fmt.Errorf("x: %w", configs.ErrUnreachable), 130},
		{cancelled, nil, 0},
	} {
		if got := exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}
