package file

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// announce starts Announce; stop waits for its end.
func announce(t *testing.T, f *Folder, instance string, updates <-chan []byte) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(bg)
	ended := make(chan error, 1)
	go func() { ended <- f.Announce(ctx, instance, updates) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func statuses(t *testing.T, f *Folder) string {
	t.Helper()
	items, err := f.List(bg, statusPrefix)
	ok(t, err)
	var all []string
	for _, item := range items {
		all = append(all, strings.TrimPrefix(item.Key, statusPrefix)+"="+string(item.Value))
	}
	return strings.Join(all, " ")
}

func TestAnnouncementLivesAsLongAsItsGateway(t *testing.T) {
	for _, state := range []string{t.TempDir(), ""} {
		f, _ := open(t, t.TempDir(), state)
		f.announceEvery = 0
		updates := make(chan []byte)
		stop := announce(t, f, "host:8000", updates)
		updates <- []byte("one")
		eventually(t, "the status", func() bool { return statuses(t, f) == "host:8000=one" })
		updates <- []byte("two")
		eventually(t, "the newer status", func() bool { return statuses(t, f) == "host:8000=two" })
		close(updates)
		if got := statuses(t, f); got != "host:8000=two" {
			t.Errorf("after the last update: %s", got)
		}
		stop()
		if got := statuses(t, f); got != "" {
			t.Errorf("after its end: %s", got)
		}
	}
}

func TestAnnouncementsAreFewAndTheNewestWins(t *testing.T) {
	f, _ := open(t, t.TempDir(), "")
	f.announceEvery = 100 * time.Millisecond
	updates := make(chan []byte)
	start := time.Now()
	defer announce(t, f, "a", updates)()
	var seen []string
	note := func() {
		if now := statuses(t, f); now != "" && !slices.Contains(seen, now) {
			seen = append(seen, now)
		}
	}
	for i := range 200 {
		updates <- []byte{byte('0' + i%10), byte('a' + i%26)}
		note()
	}
	updates <- []byte("newest")
	eventually(t, "the newest", func() bool { note(); return statuses(t, f) == "a=newest" })
	if most := 2 + int(time.Since(start)/f.announceEvery); len(seen) > most {
		t.Errorf("saw %d values in %s, expected at most %d: %q", len(seen), time.Since(start), most, seen)
	}
}

func TestSecondHolderOfANameGetsASuffix(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	start := func() (*Folder, *logBuffer, func()) {
		f, log := open(t, dir, state)
		updates := make(chan []byte, 1)
		updates <- []byte("x")
		return f, log, announce(t, f, "a", updates)
	}
	first, _, stop1 := start()
	eventually(t, "the first", func() bool { return statuses(t, first) == "a=x" })
	_, log, stop2 := start()
	eventually(t, "the second", func() bool { return statuses(t, first) == "a=x a-2=x" })
	if !strings.Contains(log.String(), "another gateway has this instance's name") || !strings.Contains(log.String(), "seen_as=a-2") {
		t.Errorf("log %s", log)
	}
	stop1()
	if got := statuses(t, first); got != "a-2=x" {
		t.Errorf("after the first's end: %s", got)
	}
	_, _, stop3 := start()
	eventually(t, "the name taken again", func() bool { return statuses(t, first) == "a=x a-2=x" })
	stop2()
	stop3()
}

func TestStatusOfADeadGatewayIsNotListed(t *testing.T) {
	f, _ := open(t, t.TempDir(), t.TempDir())
	ok(t, os.MkdirAll(filepath.Join(f.state.dir, "status"), 0o700))
	put(t, f.state.path("status/dead"), "x")
	put(t, f.state.statusLock("status/dead"), "")
	if _, there, err := f.Get(bg, "status/dead"); there || err != nil {
		t.Errorf("got %v, %v", there, err)
	}
	if got := statuses(t, f); got != "" {
		t.Errorf("got %s", got)
	}
	if _, err := os.Stat(f.state.path("status/dead")); !os.IsNotExist(err) {
		t.Errorf("its file is there: %v", err)
	}
}

func TestInstanceThatIsNoKeyIsRefused(t *testing.T) {
	f, _ := open(t, t.TempDir(), t.TempDir())
	for _, instance := range []string{"", "..", "a/b"} {
		if err := f.Announce(bg, instance, nil); err == nil {
			t.Errorf("%q was taken", instance)
		}
	}
}
