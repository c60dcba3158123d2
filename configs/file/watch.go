package file

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/segue-serving/segue/configs"
)

// Run publishes the folder's content, and again whenever it changed, until ctx
// ends; it then returns nil. While the folder cannot be read it publishes
// nothing but, at the start, the last good copy; State says why.
//
// Events of the file system only say when to look; what is there is always
// read anew and whole. A look every few seconds finds what no event told:
// overflows, files behind links, file systems without events.
func (f *Folder) Run(ctx context.Context, publish func(configs.Snapshot)) error {
	w := f.newWatch()
	defer w.close()
	p := publisher{folder: f, publish: publish}
	poll := time.NewTicker(f.poll)
	defer poll.Stop()
	// Watched before the first look, so that no change falls in between.
	p.look(ctx)
	var (
		due   <-chan time.Time // when to look, nil while there is no reason
		since time.Time        // of the oldest event that waits
	)
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.events:
			if !w.matters(event) {
				continue
			}
			// Wait until a writer paused, but not for one that never does.
			if due == nil {
				since = time.Now()
			}
			if wait := f.maxDebounce - time.Since(since); wait > 0 {
				due = time.After(min(wait, f.debounce))
			}
			continue
		case err := <-w.errors:
			w.dir = nil // events of the folder itself may be among the lost
			f.log.Warn("watching the folder of documents", "err", err)
		case <-due:
		case <-f.wake:
		case <-poll.C:
		}
		due = nil
		w.follow()
		p.look(ctx)
	}
}

// publisher looks and publishes what is new.
type publisher struct {
	folder  *Folder
	publish func(configs.Snapshot)
	last    *configs.Snapshot
}

func (p *publisher) look(ctx context.Context) {
	f := p.folder
	var s configs.Snapshot
	err := f.locked(ctx, func(l look) error {
		s = f.snapshot(l)
		return nil
	})
	if ctx.Err() != nil {
		return
	}
	if f.setState(err) {
		if err != nil {
			f.log.Error("configuration cannot be read, nothing changes", "err", err)
		} else {
			f.log.Info("configuration can be read again", "dir", f.dir)
		}
	}
	if err != nil {
		if p.last != nil {
			return
		}
		good, ok, err := f.loadLastGood()
		if err != nil {
			f.log.Error("no last good configuration", "err", err)
		}
		if !ok {
			return
		}
		s = good
	}
	if p.last != nil && sameSnapshot(*p.last, s) {
		return
	}
	p.last = &s
	p.publish(s)
	if !s.FromLastGood && !f.state.inMemory() {
		if err := configs.SaveLastGood(f.state.dir, f.sourceID(), s); err != nil {
			f.log.Warn("last good configuration not kept", "err", err)
		}
	}
}

// watch is what the file system tells. Without inotify (its limits are low on
// some hosts) the channels stay silent and the regular look does the work.
type watch struct {
	folder  *Folder
	watcher *fsnotify.Watcher
	events  chan fsnotify.Event
	errors  chan error
	// dir is the folder as it was when it was last watched: the path may come
	// to name another one.
	dir os.FileInfo
}

func (f *Folder) newWatch() *watch {
	w := &watch{folder: f}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("the file system tells of no changes: looking every few seconds", "every", f.poll, "err", err)
		return w
	}
	w.watcher, w.events, w.errors = watcher, watcher.Events, watcher.Errors
	// The folder above tells when the folder itself is replaced.
	w.add(filepath.Dir(f.dir))
	if !f.state.inMemory() {
		w.add(f.state.overridesDir())
	}
	w.follow()
	return w
}

func (w *watch) add(path string) {
	if err := w.watcher.Add(path); err != nil {
		w.folder.log.Warn("the file system tells of no changes here: looking every few seconds", "path", path, "err", err)
	}
}

// follow watches the folder that the path names now.
func (w *watch) follow() {
	if w.watcher == nil {
		return
	}
	now, err := os.Stat(w.folder.dir)
	if err != nil {
		w.dir = nil
		return
	}
	if w.dir != nil && os.SameFile(w.dir, now) {
		return
	}
	_ = w.watcher.Remove(w.folder.dir) // watched before, or not
	w.add(w.folder.dir)
	w.dir = now
}

// matters leaves out the neighbours of the folder.
func (w *watch) matters(event fsnotify.Event) bool {
	path := filepath.Clean(event.Name)
	if path == w.folder.dir {
		// Another folder may lie there now, even one with the same number.
		w.dir = nil
		return true
	}
	return filepath.Dir(path) != filepath.Dir(w.folder.dir)
}

func (w *watch) close() {
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
}
