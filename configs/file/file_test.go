package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// patience is how long a test waits for what must happen; it happens in
// milliseconds.
const patience = 15 * time.Second

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logBuffer is a log that tests read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func open(t *testing.T, dir, state string) (*Folder, *logBuffer) {
	t.Helper()
	log := new(logBuffer)
	f, err := Open(Options{Dir: dir, StateDir: state, Log: slog.New(slog.NewTextHandler(log, nil))})
	ok(t, err)
	return f, log
}

// running is a Folder whose Run is under way.
type running struct {
	*Folder
	t    *testing.T
	mu   sync.Mutex
	all  []configs.Snapshot
	news chan struct{}
	stop func()
}

// run starts Run; stop (or the test's end) waits for its end.
func run(t *testing.T, f *Folder) *running {
	t.Helper()
	r := &running{Folder: f, t: t, news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- f.Run(ctx, func(s configs.Snapshot) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.all = append(r.all, s)
			select {
			case r.news <- struct{}{}:
			default:
			}
		})
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *running) snapshots() []configs.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// until waits for a snapshot of which good is true.
func (r *running) until(what string, good func(configs.Snapshot) bool) configs.Snapshot {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		if all := r.snapshots(); len(all) > 0 && good(all[len(all)-1]) {
			return all[len(all)-1]
		}
		select {
		case <-r.news:
		case <-deadline:
			all := r.snapshots()
			var last string
			if len(all) > 0 {
				last = show(all[len(all)-1])
			}
			r.t.Fatalf("never saw %s; last of %d snapshots: %s; state %+v", what, len(all), last, r.State())
		}
	}
}

// eventually waits for a condition that no snapshot tells of.
func eventually(t *testing.T, what string, good func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !good(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never saw %s", what)
		}
	}
}

// show is a snapshot's content in one line.
func show(s configs.Snapshot) string {
	var parts []string
	one := func(name string, e configs.Entry) {
		text := string(e.Value)
		if e.Problem != "" {
			text = "!" + e.Problem
		}
		parts = append(parts, fmt.Sprintf("%s=%s@%d", name, text, e.Index))
	}
	if s.Settings != nil {
		one("settings", *s.Settings)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Models)) {
		one(name, s.Models[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Overrides)) {
		one("override "+name, s.Overrides[name])
	}
	return fmt.Sprintf("%d authoritative=%v %s", s.Index, s.Authoritative, strings.Join(parts, " "))
}

func value(name, text string) func(configs.Snapshot) bool {
	return func(s configs.Snapshot) bool {
		return string(s.Models[name].Value) == text && s.Models[name].Problem == ""
	}
}

func TestFirstSnapshotHoldsDocumentsAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"mozart.yaml", "bach.json", "holst.yml", "_settings.yaml"} {
		put(t, filepath.Join(dir, name), name)
	}
	for _, name := range []string{".mozart.yaml.swp", ".hidden.yaml", "mozart.yaml~", "#mozart.yaml#", "#x.yaml", "~$x.json", "4913", "x.yaml.tmp", "x.tmp", "README.md", "x.yaml.bak", "mozart.yaml___jb_tmp___"} {
		put(t, filepath.Join(dir, name), "ignored")
	}
	ok(t, os.MkdirAll(filepath.Join(dir, "sub.yaml"), 0o755))
	put(t, filepath.Join(dir, "sub.yaml", "inner.yaml"), "ignored")

	f, _ := open(t, dir, t.TempDir())
	s := run(t, f).until("documents", func(configs.Snapshot) bool { return true })
	if got, want := show(s), "1 authoritative=true settings=_settings.yaml@1 bach=bach.json@1 holst=holst.yml@1 mozart=mozart.yaml@1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	e := s.Models["mozart"]
	if e.Name != "mozart" || e.Base != dir || e.Where != filepath.Join(dir, "mozart.yaml") || e.WrittenByTool {
		t.Errorf("got %+v", e)
	}
	if st := f.State(); !st.Connected || st.Err != "" || st.LastContactUnixNano == 0 {
		t.Errorf("state %+v", st)
	}
}

func TestChangesArePublishedHoweverTheyAreMade(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mozart.yaml")
	put(t, path, "one")
	put(t, filepath.Join(dir, "_settings.yaml"), "s")
	f, _ := open(t, dir, t.TempDir())
	f.poll = time.Hour // events alone must do
	r := run(t, f)
	r.until("one", value("mozart", "one"))

	put(t, path, "in place")
	r.until("a change in place", value("mozart", "in place"))

	put(t, filepath.Join(dir, ".new"), "renamed")
	ok(t, os.Rename(filepath.Join(dir, ".new"), path))
	r.until("a rename", value("mozart", "renamed"))

	// As vim saves: the old one aside, a new one, the old one removed.
	ok(t, os.Rename(path, path+"~"))
	put(t, path, "vim")
	ok(t, os.Remove(path+"~"))
	r.until("an editor's save", value("mozart", "vim"))

	put(t, filepath.Join(dir, "bach.json"), "{}")
	r.until("a new model", value("bach", "{}"))

	ok(t, os.Remove(path))
	s := r.until("a deletion", func(s configs.Snapshot) bool { _, there := s.Models["mozart"]; return !there })
	if !s.Authoritative {
		t.Error("the deletion does not count")
	}
	ok(t, os.Remove(filepath.Join(dir, "_settings.yaml")))
	s = r.until("no settings", func(s configs.Snapshot) bool { return s.Settings == nil })
	if s.Authoritative {
		t.Error("a deletion would count without the sentinel")
	}
}

func TestUnchangedBytesPublishNothing(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "_settings.yaml"), "s")
	path := filepath.Join(dir, "mozart.yaml")
	put(t, path, "one")
	f, _ := open(t, dir, t.TempDir())
	r := run(t, f)
	first := r.until("one", value("mozart", "one"))
	put(t, path, "one")
	ok(t, os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)))
	put(t, filepath.Join(dir, "mozart.yaml.swp"), "x")
	put(t, filepath.Join(dir, "bach.yaml"), "last")
	s := r.until("the last change", value("bach", "last"))
	if n := len(r.snapshots()); n != 2 {
		t.Errorf("%d snapshots", n)
	}
	if a, b := first.Models["mozart"].Index, s.Models["mozart"].Index; a != b {
		t.Errorf("index of unchanged bytes went from %d to %d", a, b)
	}
}

func TestIndexGrowsOverRestarts(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "_settings.yaml"), "s")
	put(t, filepath.Join(dir, "mozart.yaml"), "one")
	var shown []string
	step := func(change func()) {
		f, _ := open(t, dir, state)
		r := run(t, f)
		r.until("the start", func(configs.Snapshot) bool { return true })
		r.stop()
		shown = append(shown, show(r.snapshots()[0]))
		change()
	}
	step(func() {})
	step(func() { put(t, filepath.Join(dir, "mozart.yaml"), "two") })
	step(func() { put(t, filepath.Join(dir, "mozart.yaml"), "one") })
	step(func() { ok(t, os.Remove(filepath.Join(dir, "mozart.yaml"))) })
	step(func() { put(t, filepath.Join(dir, "mozart.yaml"), "one") })
	step(func() {})
	want := []string{
		"1 authoritative=true settings=s@1 mozart=one@1",
		"1 authoritative=true settings=s@1 mozart=one@1",
		"2 authoritative=true settings=s@1 mozart=two@2",
		"3 authoritative=true settings=s@1 mozart=one@3",
		"4 authoritative=true settings=s@1",
		"5 authoritative=true settings=s@1 mozart=one@5",
	}
	if !slices.Equal(shown, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(shown, "\n"), strings.Join(want, "\n"))
	}
}

func TestDamagedCounterCountsOnFromTheTime(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "mozart.yaml"), "one")
	f, log := open(t, dir, state)
	put(t, filepath.Join(f.state.dir, indexFile), `{"format": 1, "last": 5, "ke`)
	start := uint64(time.Now().Unix())
	s := run(t, f).until("one", value("mozart", "one"))
	if s.Index <= start || !strings.Contains(log.String(), "damaged") {
		t.Errorf("index %d, log %s", s.Index, log)
	}
}

func TestWhatCannotBeReadIsPresentWithItsReason(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "_settings.yaml"), "s")
	put(t, filepath.Join(dir, "two.yaml"), "a")
	put(t, filepath.Join(dir, "two.json"), "{}")
	put(t, filepath.Join(dir, "bad name.yaml"), "a")
	put(t, filepath.Join(dir, "long.yaml"), strings.Repeat("x", 3<<20))
	ok(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.yaml")))
	ok(t, os.Symlink("loop.yaml", filepath.Join(dir, "loop.yaml")))
	ok(t, syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600))
	f, _ := open(t, dir, t.TempDir())
	r := run(t, f)
	s := r.until("the start", func(configs.Snapshot) bool { return true })
	for name, want := range map[string]string{
		"two":      "two files for one document, two.json and two.yaml: keep one",
		"bad name": `rename the file: "bad name" is not a good name: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit`,
		"dangling": "a symbolic link that leads nowhere",
		"loop":     "cannot be read: too many levels of symbolic links",
		"pipe":     "not a regular file",
		"long":     "",
	} {
		e, there := s.Models[name]
		if !there || e.Problem != want {
			t.Errorf("%s: there %v, got %q, want %q", name, there, e.Problem, want)
		}
	}
	if n := len(s.Models["long"].Value); n != maxRead {
		t.Errorf("read %d bytes of a file that is too long", n)
	}
	// And it mends itself.
	ok(t, os.Remove(filepath.Join(dir, "two.json")))
	r.until("one file of the two", value("two", "a"))
}

func TestSwappedConfigMap(t *testing.T) {
	dir := t.TempDir()
	fill := func(name, mozart string) {
		ok(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		put(t, filepath.Join(dir, name, "mozart.yaml"), mozart)
		put(t, filepath.Join(dir, name, "_settings.yaml"), "s")
	}
	fill("..1", "one")
	ok(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	for _, name := range []string{"mozart.yaml", "_settings.yaml"} {
		ok(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	f, _ := open(t, dir, t.TempDir())
	f.poll = time.Hour
	r := run(t, f)
	r.until("one", value("mozart", "one"))
	fill("..2", "two")
	ok(t, os.Symlink("..2", filepath.Join(dir, "..data_tmp")))
	ok(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	ok(t, os.RemoveAll(filepath.Join(dir, "..1")))
	s := r.until("two", value("mozart", "two"))
	if s.Index != 2 || s.Settings.Index != 1 {
		t.Errorf("got %s", show(s))
	}
}

func TestFolderThatIsALinkAndIsTurned(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"a", "b"} {
		ok(t, os.Mkdir(filepath.Join(base, name), 0o755))
		put(t, filepath.Join(base, name, "mozart.yaml"), name)
	}
	dir := filepath.Join(base, "current")
	ok(t, os.Symlink("a", dir))
	f, _ := open(t, dir, t.TempDir())
	f.poll = time.Hour
	r := run(t, f)
	r.until("a", value("mozart", "a"))
	ok(t, os.Symlink("b", filepath.Join(base, "next")))
	ok(t, os.Rename(filepath.Join(base, "next"), dir))
	r.until("b", value("mozart", "b"))
	put(t, filepath.Join(base, "b", "mozart.yaml"), "c")
	r.until("a change in the new folder", value("mozart", "c"))
}

func TestFolderThatGoesAndComesBack(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "models")
	fill := func(mozart string) {
		ok(t, os.Mkdir(dir, 0o755))
		put(t, filepath.Join(dir, "_settings.yaml"), "s")
		put(t, filepath.Join(dir, "mozart.yaml"), mozart)
	}
	fill("one")
	f, log := open(t, dir, t.TempDir())
	f.poll = time.Hour
	r := run(t, f)
	r.until("one", value("mozart", "one"))

	ok(t, os.Rename(dir, dir+".away"))
	eventually(t, "the loss", func() bool { return !f.State().Connected })
	if n := len(r.snapshots()); n != 1 {
		t.Errorf("%d snapshots: the loss was published", n)
	}
	if !strings.Contains(f.State().Err, "not reachable") || !strings.Contains(log.String(), "nothing changes") {
		t.Errorf("state %+v, log %s", f.State(), log)
	}
	ok(t, os.Rename(dir+".away", dir))
	eventually(t, "the return", func() bool { return f.State().Connected })
	if n := len(r.snapshots()); n != 1 {
		t.Errorf("%d snapshots: the same content was published again", n)
	}
	// Replaced at once, perhaps by a folder with the same inode.
	ok(t, os.RemoveAll(dir))
	fill("two")
	r.until("another folder's content", value("mozart", "two"))
	put(t, filepath.Join(dir, "mozart.yaml"), "three")
	r.until("a change in it", value("mozart", "three"))
}

func TestFolderThatComesBackEmptyDeletesNothing(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "_settings.yaml"), "s")
	put(t, filepath.Join(dir, "mozart.yaml"), "one")
	f, _ := open(t, dir, t.TempDir())
	r := run(t, f)
	r.until("one", value("mozart", "one"))
	ok(t, os.Remove(filepath.Join(dir, "_settings.yaml")))
	ok(t, os.Remove(filepath.Join(dir, "mozart.yaml")))
	s := r.until("an empty folder", func(s configs.Snapshot) bool { return len(s.Models) == 0 })
	if s.Authoritative {
		t.Error("its emptiness counts")
	}
	put(t, filepath.Join(dir, "mozart.yaml"), "one")
	put(t, filepath.Join(dir, "_settings.yaml"), "s")
	s = r.until("all back", func(s configs.Snapshot) bool { return s.Authoritative && len(s.Models) == 1 })
	if got, want := show(s), "1 authoritative=true settings=s@1 mozart=one@1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRegularLookFindsWhatNoEventTells(t *testing.T) {
	base := t.TempDir()
	dir, elsewhere := filepath.Join(base, "models"), t.TempDir()
	ok(t, os.Mkdir(dir, 0o755))
	put(t, filepath.Join(elsewhere, "m"), "one")
	ok(t, os.Symlink(filepath.Join(elsewhere, "m"), filepath.Join(dir, "mozart.yaml")))
	f, _ := open(t, dir, t.TempDir())
	f.poll = 20 * time.Millisecond
	r := run(t, f)
	r.until("one", value("mozart", "one"))
	put(t, filepath.Join(elsewhere, "m"), "two")
	r.until("two", value("mozart", "two"))
}

func TestManyQuickChangesEndInTheNewest(t *testing.T) {
	dir := t.TempDir()
	f, _ := open(t, dir, t.TempDir())
	f.poll = time.Hour
	r := run(t, f)
	const n = 300
	for i := range n {
		path := filepath.Join(dir, "mozart.yaml")
		put(t, filepath.Join(dir, ".tmp"), fmt.Sprint(i))
		ok(t, os.Rename(filepath.Join(dir, ".tmp"), path))
	}
	r.until("the newest", value("mozart", fmt.Sprint(n-1)))
	var last uint64
	for _, s := range r.snapshots() {
		if s.Index < last {
			t.Errorf("index fell from %d to %d", last, s.Index)
		}
		last = s.Index
	}
	if got := len(r.snapshots()); got > n/2 {
		t.Errorf("%d snapshots of %d changes", got, n)
	}
}

func TestStartsFromTheLastGoodCopy(t *testing.T) {
	base, state := t.TempDir(), t.TempDir()
	dir := filepath.Join(base, "models")
	if _, err := Open(Options{Dir: dir, StateDir: state}); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no folder: %v", err)
	}
	ok(t, os.Mkdir(dir, 0o755))
	put(t, filepath.Join(dir, "_settings.yaml"), "s")
	put(t, filepath.Join(dir, "mozart.yaml"), "one")
	f, _ := open(t, dir, state)
	r := run(t, f)
	r.until("one", value("mozart", "one"))
	r.stop()
	ok(t, os.Rename(dir, dir+".away"))
	f, _ = open(t, dir, state)
	f.poll = 10 * time.Millisecond
	r = run(t, f)
	s := r.until("the copy", value("mozart", "one"))
	if !s.FromLastGood || s.Authoritative || f.State().Connected {
		t.Errorf("got %s, from last good %v, state %+v", show(s), s.FromLastGood, f.State())
	}
	ok(t, os.Rename(dir+".away", dir))
	r.until("the folder itself", func(s configs.Snapshot) bool { return !s.FromLastGood && s.Authoritative })
}

func TestWithoutAStateFolderItWorksInMemory(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "mozart.yaml"), "one")
	// A folder cannot be made below a file, whoever asks.
	for _, state := range []string{"", filepath.Join(dir, "mozart.yaml", "state")} {
		f, log := open(t, dir, state)
		if !strings.Contains(log.String(), "end with this process") {
			t.Errorf("state %q: log %s", state, log)
		}
		r := run(t, f)
		first := r.until("one", value("mozart", "one"))
		at, err := f.Apply(context.Background(), configs.Write{Key: "overrides/mozart", Value: []byte("hold")})
		ok(t, err)
		s := r.until("the override", func(s configs.Snapshot) bool { return string(s.Overrides["mozart"].Value) == "hold" })
		if s.Index != at || at <= first.Index {
			t.Errorf("index %d after %d, written at %d", s.Index, first.Index, at)
		}
		r.stop()
	}
}

func TestStateClearedAwayWhileRunningIsBegunAgain(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "mozart.yaml"), "one")
	f, _ := open(t, dir, t.TempDir())
	r := run(t, f)
	r.until("one", value("mozart", "one"))
	ok(t, os.Rename(f.state.dir, f.state.dir+".away"))
	put(t, filepath.Join(dir, "mozart.yaml"), "two")
	s := r.until("two", value("mozart", "two"))
	if s.Index != 2 {
		t.Errorf("got %s", show(s))
	}
}
