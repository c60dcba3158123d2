package file

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestOneProcessAtATimeHoldsALock(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	one, _ := open(t, dir, state)
	two, _ := open(t, dir, state)
	held, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	said := errors.New("said by fn")
	go func() {
		first <- one.Hold(bg, "resolve", func(context.Context) error {
			close(held)
			<-release
			return said
		})
	}()
	<-held

	ended, cancel := context.WithTimeout(bg, 100*time.Millisecond)
	defer cancel()
	ran := false
	if err := two.Hold(ended, "resolve", func(context.Context) error { ran = true; return nil }); err != nil || ran {
		t.Errorf("while it is held: ran %v, %v", ran, err)
	}
	if err := two.Hold(bg, "drift", func(context.Context) error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("another lock: ran %v, %v", ran, err)
	}
	close(release)
	if err := <-first; !errors.Is(err, said) {
		t.Errorf("Hold returned %v and not what fn did", err)
	}
	patient, cancel := context.WithTimeout(bg, 10*time.Second)
	defer cancel()
	if err := two.Hold(patient, "resolve", func(context.Context) error { return said }); !errors.Is(err, said) {
		t.Errorf("after it was given back: %v", err)
	}
	items, err := two.List(bg, "")
	if ok(t, err); len(items) != 0 {
		t.Errorf("a lock is listed as a key: %v", items)
	}
}

func TestWithoutAStateFolderAProcessIsAlone(t *testing.T) {
	f, _ := open(t, t.TempDir(), "")
	ran := false
	if err := f.Hold(bg, "resolve", func(context.Context) error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("ran %v, %v", ran, err)
	}
	if err := f.Hold(bg, "../resolve", func(context.Context) error { return nil }); err == nil {
		t.Error("a lock's name with a slash")
	}
}
