package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

var bg = context.Background()

func write(key, value string, index uint64) configs.Write {
	return configs.Write{Key: key, Value: []byte(value), Index: index, Tool: true}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	ok(t, err)
	return string(text)
}

func TestAFolderIsAStore(t *testing.T) {
	configstest.Conformance(t, func(t *testing.T) configs.Store {
		f, _ := open(t, t.TempDir(), t.TempDir())
		return f
	})
}

func TestApplyIsCheckAndSet(t *testing.T) {
	dir := t.TempDir()
	f, _ := open(t, dir, t.TempDir())
	apply := func(want uint64, wantErr error, writes ...configs.Write) {
		t.Helper()
		at, err := f.Apply(bg, writes...)
		if at != want || !errors.Is(err, wantErr) || wantErr == nil && err != nil {
			t.Errorf("got %d, %v, want %d, %v", at, err, want, wantErr)
		}
	}
	apply(1, nil, write("settings", "schema: 1", 0), write("models/mozart", "model: mozart", 0))
	apply(0, configs.ErrConflict, write("models/mozart", "other", 0))
	apply(0, configs.ErrConflict, write("models/mozart", "other", 7))
	apply(2, nil, write("models/mozart", "model: mozart # 2", 1))
	// The same bytes change nothing.
	apply(2, nil, write("models/mozart", "model: mozart # 2", 2))
	// A file written past the store has an index of its own.
	put(t, filepath.Join(dir, "mozart.yaml"), "by hand")
	apply(0, configs.ErrConflict, write("models/mozart", "mine", 2))
	apply(4, nil, write("models/mozart", "mine", 3), write("audit/mozart/00000000000000000003-put", "{}", 0))
	apply(0, configs.ErrConflict, write("audit/mozart/00000000000000000003-put", "{}", 0))
	apply(5, nil, configs.Write{Key: "models/mozart", Delete: true, Index: 4}, write("overrides/mozart", "{}", 0))
	apply(0, configs.ErrConflict, configs.Write{Key: "models/mozart", Delete: true, Index: 4})

	if _, there, err := f.Get(bg, "models/mozart"); there || err != nil {
		t.Errorf("after its deletion: %v, %v", there, err)
	}
	items, err := f.List(bg, "")
	ok(t, err)
	var got []string
	for _, item := range items {
		index := item.Index
		if strings.HasPrefix(item.Key, "audit/") {
			index = 0
		}
		got = append(got, fmt.Sprintf("%s=%s@%d %v", item.Key, item.Value, index, item.Tool))
	}
	want := "audit/mozart/00000000000000000003-put={}@0 false|overrides/mozart={}@5 true|settings=schema: 1@1 true"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	f, _ := open(t, dir, t.TempDir())
	_, err := f.Apply(bg, write("models/a", "a", 0), write("models/b", "b", 0))
	ok(t, err)
	before := tree(t, dir)
	check := func(what string, want error, writes ...configs.Write) {
		t.Helper()
		_, err := f.Apply(bg, writes...)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
		if after := tree(t, dir); after != before {
			t.Errorf("%s: left\n%s\nof\n%s", what, after, before)
		}
	}
	check("a conflict in the last", configs.ErrConflict, write("models/a", "new", 1), write("models/c", "c", 0), write("models/b", "new", 9))
	check("a key twice", nil, write("models/a", "new", 1), write("models/a", "newer", 1))
	check("a key that leaves", nil, write("models/a", "new", 1), write("models/../b", "new", 0))
	check("a bad name", nil, write("models/a", "new", 1), write("models/b c", "new", 0))
	// The file of the audit cannot be made: its folder is a file.
	put(t, filepath.Join(f.state.dir, "audit"), "in the way")
	check("a file that cannot be made", nil, write("models/a", "new", 1), write("audit/a/1-put", "{}", 0))
	ok(t, os.Remove(filepath.Join(f.state.dir, "audit")))
	// A rename that fails after another was made: its target is a folder.
	ok(t, os.MkdirAll(filepath.Join(dir, "z.yaml"), 0o755))
	before = tree(t, dir)
	check("a rename that fails", nil, write("models/a", "new", 1), write("models/c", "c", 0), write("models/z", "z", 0))
	item, _, err := f.Get(bg, "models/a")
	ok(t, err)
	if string(item.Value) != "a" || item.Index != 1 {
		t.Errorf("got %s@%d", item.Value, item.Index)
	}
}

// tree is all files below a folder with their content.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	ok(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Fprintf(&b, "%s: %s\n", strings.TrimPrefix(path, dir), read(t, path))
		}
		return err
	}))
	return b.String()
}

func TestDocumentsKeepTheirFile(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "a.yml"), "a")
	ok(t, os.Chmod(filepath.Join(dir, "a.yml"), 0o640))
	put(t, filepath.Join(elsewhere, "target"), "l")
	ok(t, os.Symlink(filepath.Join(elsewhere, "target"), filepath.Join(dir, "l.yaml")))
	f, _ := open(t, dir, t.TempDir())
	_, err := f.Apply(bg, write("models/a", "{}", 1), write("models/l", "linked", 1),
		write("models/new", " \n{}", 0), write("models/new2", "model: new2", 0), write("settings", `{"schema": 1}`, 0))
	ok(t, err)
	want := "/_settings.json: {\"schema\": 1}\n/a.yml: {}\n/l.yaml: linked\n/new.json:  \n{}\n/new2.yaml: model: new2\n"
	if got := tree(t, dir); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := read(t, filepath.Join(elsewhere, "target")); got != "linked" {
		t.Errorf("the link's target holds %s", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "a.yml")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestDocumentWithAProblemIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.yml"), "a")
	put(t, filepath.Join(dir, "a.json"), "a")
	f, _ := open(t, dir, t.TempDir())
	_, err := f.Apply(bg, write("models/a", "new", 1))
	_, _, err2 := f.Get(bg, "models/a")
	for _, err := range []error{err, err2} {
		if err == nil || !strings.Contains(err.Error(), "two files for one document, a.json and a.yml") {
			t.Errorf("got %v", err)
		}
	}
}

func TestStateIsForItsOwnerAlone(t *testing.T) {
	f, _ := open(t, t.TempDir(), filepath.Join(t.TempDir(), "new"))
	_, err := f.Apply(bg, write("overrides/a", "{}", 0), write("audit/_settings/1-put", "{}", 0))
	ok(t, err)
	ok(t, filepath.WalkDir(f.state.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		return err
	}))
}

func TestRunningGatewaySeesWhatTheToolWrote(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	gateway, _ := open(t, dir, state)
	gateway.poll = time.Hour
	r := run(t, gateway)
	r.until("the start", func(configs.Snapshot) bool { return true })
	tool, _ := open(t, dir, state)
	at, err := tool.Apply(bg, write("models/mozart", "model: mozart", 0), write("settings", "schema: 1", 0))
	ok(t, err)
	s := r.until("the document", value("mozart", "model: mozart"))
	if e := s.Models["mozart"]; e.Index != at || !e.WrittenByTool {
		t.Errorf("got %+v, written at %d", e, at)
	}
	at, err = tool.Apply(bg, write("overrides/mozart", "{}", 0))
	ok(t, err)
	s = r.until("the override", func(s configs.Snapshot) bool { return len(s.Overrides) == 1 })
	if e := s.Overrides["mozart"]; e.Index != at || e.Name != "mozart" {
		t.Errorf("got %+v, written at %d", e, at)
	}
	// By hand after the tool: no longer the tool's.
	put(t, filepath.Join(dir, "mozart.yaml"), "by hand")
	s = r.until("the change by hand", value("mozart", "by hand"))
	if s.Models["mozart"].WrittenByTool {
		t.Error("a change by hand counts as the tool's")
	}
	// A folder of another path has a state of its own.
	other, _ := open(t, t.TempDir(), state)
	if items, err := other.List(bg, ""); err != nil || len(items) != 0 {
		t.Errorf("another folder sees %v, %v", items, err)
	}
}

func TestOfManyWritersAtOnceOneWins(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	const writers, rounds = 4, 10
	for round := range rounds {
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			wins int
		)
		first, _ := open(t, dir, state)
		before, _, err := first.Get(bg, "models/mozart")
		ok(t, err)
		for i := range writers {
			f, _ := open(t, dir, state)
			wg.Go(func() {
				_, err := f.Apply(bg, write("models/mozart", fmt.Sprint(round, i), before.Index))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					wins++
				} else if !errors.Is(err, configs.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if wins != 1 {
			t.Fatalf("%d writers won", wins)
		}
	}
}

func TestLockOfADeadWriterIsFree(t *testing.T) {
	f, _ := open(t, t.TempDir(), t.TempDir())
	put(t, filepath.Join(f.state.dir, lockFile), "left by a crash")
	_, err := f.Apply(bg, write("models/a", "a", 0))
	ok(t, err)
}

func TestBusyStateIsNotReachable(t *testing.T) {
	f, _ := open(t, t.TempDir(), t.TempDir())
	held, err := tryLock(filepath.Join(f.state.dir, lockFile))
	ok(t, err)
	defer held.Close()
	ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
	defer cancel()
	if _, err := f.List(ctx, ""); !errors.Is(err, configs.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestKeysAndPathsAreOneToOne(t *testing.T) {
	f := func(key, path string) {
		t.Helper()
		if got := statePath(key); got != path {
			t.Errorf("%s lies at %s, want %s", key, got, path)
		}
		if got, ok := stateKey(path); !ok || got != key {
			t.Errorf("%s is the key %s, %v", path, got, ok)
		}
	}
	f("overrides/mozart", "overrides/mozart.json")
	f("status/host:8000", "status/host%3A8000.json")
	f("audit/_settings/00000000000000000007-put", "audit/_settings/00000000000000000007-put.json")
	f("status/.x ü%", "status/%2Ex%20%C3%BC%25.json")
	for _, path := range []string{"status/.x.json", "status/a", "status/a%20.tmp", "status/%41.json", "status/%zz.json", "status/.json"} {
		if key, ok := stateKey(path); ok {
			t.Errorf("%s is the key %s", path, key)
		}
	}
	for _, key := range []string{"", "a//b", "../a", "a/..", "a/", "status/" + strings.Repeat("ü", 50)} {
		if checkKey(key) == nil {
			t.Errorf("%q is a key", key)
		}
	}
}

func TestWhoIsNamed(t *testing.T) {
	f, _ := open(t, t.TempDir(), t.TempDir())
	if f.Who(bg) == "" {
		t.Error("nobody")
	}
}
