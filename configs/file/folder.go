package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"sync"
	"time"

	"github.com/segue-serving/segue/configs"
)

// Options say where a Folder lies.
type Options struct {
	// Dir is the folder of documents. It may be a symbolic link.
	Dir string
	// StateDir is the gateway's state folder; the Folder uses a subfolder of
	// its own, named after Dir, so that several gateways can share one. Empty
	// or not writable: state is kept in memory and ends with the process.
	StateDir string
	// Log takes what nobody else is told; nil discards it.
	Log *slog.Logger
}

// Folder is a folder of documents with its state. All methods may be called at
// any time and by several goroutines.
type Folder struct {
	dir   string
	log   *slog.Logger
	state *stateFiles

	// Times, changed by tests only.
	debounce, maxDebounce, poll, announceEvery time.Duration

	// wake tells Run to look now; it holds at most one.
	wake chan struct{}

	// reading guards index and serialises reads and writes of this process;
	// the state's lock does so between processes.
	reading sync.Mutex
	index   *index

	reported sync.Mutex
	source   configs.SourceState
}

var (
	_ configs.Source    = (*Folder)(nil)
	_ configs.Store     = (*Folder)(nil)
	_ configs.Announcer = (*Folder)(nil)
	_ configs.Locker    = (*Folder)(nil)
)

// Open prepares a folder. It fails where there is no folder to read and no
// last good copy of one; a state folder that cannot be written is only logged.
// There is nothing to close.
func Open(o Options) (*Folder, error) {
	if o.Dir == "" {
		return nil, errors.New("no folder of documents given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of documents %s: %w", o.Dir, err)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Folder{
		dir: dir, log: log,
		debounce: 20 * time.Millisecond, maxDebounce: 500 * time.Millisecond, poll: 3 * time.Second, announceEvery: time.Second,
		wake: make(chan struct{}, 1),
	}
	sum := sha256.Sum256([]byte(dir))
	f.state = openState(o.StateDir, "file-"+hex.EncodeToString(sum[:6]), log)
	f.index = newIndex(dir)
	if _, err := os.ReadDir(dir); err != nil {
		if _, ok, _ := f.loadLastGood(); !ok {
			return nil, fmt.Errorf("folder of documents: %w", err)
		}
	}
	return f, nil
}

// Dir is the absolute path of the folder of documents.
func (f *Folder) Dir() string { return f.dir }

// State is how the folder stood at the last look.
func (f *Folder) State() configs.SourceState {
	f.reported.Lock()
	defer f.reported.Unlock()
	return f.source
}

// setState records the outcome of a look and reports whether it is another
// than before.
func (f *Folder) setState(err error) (news bool) {
	f.reported.Lock()
	defer f.reported.Unlock()
	before := f.source
	f.source.Connected, f.source.Err = err == nil, ""
	if err != nil {
		f.source.Err = err.Error()
	} else {
		f.source.LastContactUnixNano = time.Now().UnixNano()
	}
	return before.Err != f.source.Err
}

// Who is the name of the system's user that runs this process.
func (f *Folder) Who(context.Context) string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

func (f *Folder) sourceID() string { return "file:" + f.dir }

func (f *Folder) loadLastGood() (configs.Snapshot, bool, error) {
	if f.state.inMemory() {
		return configs.Snapshot{}, false, nil
	}
	return configs.LoadLastGood(f.state.dir, f.sourceID())
}
