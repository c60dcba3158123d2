package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Verifier verifies like Verify and remembers what it found good, so that a
// version to which traffic returns is not read, hashed and parsed again while
// requests wait for the processor. It is told by what the file system says of
// every file: its inode, size and times. The zero value is ready for use, and
// safe for concurrent use.
//
// Only folders with a manifest of their own are remembered, and of those the
// last ones whose manifests take maxRememberedBytes together.
type Verifier struct {
	mu sync.Mutex
	// remembered are in the order of use, the last one first.
	remembered []remembered
}

// remembered is a verified artifact under the path that it was asked for by.
type remembered struct {
	at       string
	artifact *Artifact
}

const (
	// Goldens make manifests large, and they are remembered parsed.
	maxRememberedBytes = 16 << 20
	// A file that was changed less than this before it was read may have been
	// changed again within the same tick of its file system's clock.
	settled = 2 * time.Second
)

// Verify returns the artifact at a path, which was read in full now or before.
// It must not be changed.
func (v *Verifier) Verify(ctx context.Context, at string) (*Artifact, error) {
	if a := v.recall(at); a != nil {
		return a, nil
	}
	began := time.Now()
	a, err := Verify(ctx, at)
	if err == nil && a.settledBefore(began.Add(-settled)) {
		v.remember(at, a)
	}
	return a, err
}

// recall returns what is remembered and still holds, nil where nothing is.
func (v *Verifier) recall(at string) *Artifact {
	v.mu.Lock()
	i := slices.IndexFunc(v.remembered, func(r remembered) bool { return r.at == at })
	if i < 0 {
		v.mu.Unlock()
		return nil
	}
	r := v.remembered[i]
	v.remembered = slices.Insert(slices.Delete(v.remembered, i, i+1), 0, r)
	v.mu.Unlock()
	if r.artifact.same(at) != nil {
		return nil
	}
	return r.artifact
}

func (v *Verifier) remember(at string, a *Artifact) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.remembered = slices.DeleteFunc(v.remembered, func(r remembered) bool { return r.at == at })
	v.remembered = slices.Insert(v.remembered, 0, remembered{at, a})
	total := int64(0)
	for i, r := range v.remembered {
		if total += r.artifact.manifest.Size(); total > maxRememberedBytes {
			v.remembered = slices.Delete(v.remembered, i, len(v.remembered))
			return
		}
	}
}

// settledBefore reports whether the artifact has a manifest of its own and no
// file of it was changed after a time.
func (a *Artifact) settledBefore(t time.Time) bool {
	if a.manifest == nil || changed(a.manifest).After(t) {
		return false
	}
	for _, info := range a.files {
		if changed(info).After(t) {
			return false
		}
	}
	return true
}

// changed is when a file was last changed in any way. Its modification time can
// be set at will, the time of its inode cannot.
func changed(info fs.FileInfo) time.Time {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Now() // never settled
	}
	return time.Unix(stat.Ctim.Unix())
}

// same returns an error where the folder at a path is another now, or any of
// its files. Files are opened, which makes a network file system ask its server.
func (a *Artifact) same(at string) error {
	f, err := openFolder(at)
	if err != nil {
		return err
	}
	defer f.root.Close()
	if f.root.Name() != a.Dir {
		return errors.New("another folder")
	}
	if err := sameFile(f, ManifestFile, a.manifest); err != nil {
		return err
	}
	for name, was := range a.files {
		if err := sameFile(f, name, was); err != nil {
			return err
		}
	}
	return nil
}

func sameFile(f *folder, name string, was fs.FileInfo) error {
	file, is, err := f.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if !os.SameFile(was, is) || was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime()) || !changed(was).Equal(changed(is)) {
		return fmt.Errorf("%s: changed since it was verified", name)
	}
	return nil
}
