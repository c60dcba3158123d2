package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// workerEnv makes this program a process that uses a cache until it is killed.
const workerEnv = "SEGUE_TEST_CACHE_WORKER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(workerEnv); spec != "" {
		dir, source, _ := strings.Cut(spec, "\n")
		if err := work(dir, source); err != nil {
			fmt.Println("worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// crashLimit has room for three of the artifacts, so that most fetches evict.
const crashLimit = 1 << 20

// warehouse is a remote store of the folders in a folder. It is slow enough to
// be interrupted.
type warehouse struct{ dir string }

func (w warehouse) Open(_ context.Context, ref store.Ref) (store.Origin, error) {
	root, err := os.OpenRoot(filepath.Join(w.dir, strings.TrimPrefix(ref.URI, "warehouse:")))
	return &aisle{root}, err
}

type aisle struct{ root *os.Root }

func (a *aisle) Close() error { return a.root.Close() }

func (a *aisle) Files(context.Context, int) ([]store.RemoteFile, error) {
	return nil, errors.ErrUnsupported
}

func (a *aisle) Read(ctx context.Context, name string, offset int64) (store.Body, error) {
	file, err := a.root.Open(name)
	if err != nil {
		return store.Body{}, err
	}
	info, err := file.Stat()
	if err == nil {
		_, err = file.Seek(offset, io.SeekStart)
	}
	slow := readerFunc(func(p []byte) (int, error) {
		time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
		return file.Read(p[:min(len(p), 16<<10)])
	})
	return store.Body{ReadCloser: readCloser{slow, file}, Offset: offset, Size: info.Size()}, err
}

type readCloser struct {
	io.Reader
	io.Closer
}

// work uses a cache like a gateway that never rests, until it is killed: it
// wants some artifacts, holds them for a moment, and finds them whole then.
func work(dir, source string) error {
	c, err := Open(dir, crashLimit, Options{Stall: 5 * time.Second})
	if err != nil {
		return err
	}
	refs := make([]store.Ref, 0, 8)
	for _, name := range names(source) {
		body, err := os.ReadFile(filepath.Join(source, name, artifact.ManifestFile))
		if err != nil {
			return err
		}
		refs = append(refs, store.Ref{URI: "warehouse:" + name, Digest: artifact.Digest(body)})
	}
	remote := c.Store(warehouse{source})
	for {
		ref := refs[rand.IntN(len(refs))]
		digest := ref.Digest
		if rand.IntN(3) == 0 {
			ref.Digest = ""
		}
		keep := refs[rand.IntN(len(refs))]
		c.Keep([]store.Ref{keep})
		c.mu.Lock()
		kept := c.keeping[keep] != nil // it was there, and stays
		c.mu.Unlock()
		path, release, err := remote.Fetch(context.Background(), ref, nil)
		if err != nil {
			if strings.Contains(err.Error(), "are in use or kept") {
				continue
			}
			return err
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		a, err := artifact.Verify(context.Background(), path)
		if err != nil || a.Digest != digest {
			return fmt.Errorf("%s while it is held: %v, %w", ref.URI, a, err)
		}
		if kept {
			if a, err := artifact.Verify(context.Background(), c.entryDir(keep.Digest)); err != nil {
				return fmt.Errorf("%s while it is kept: %v, %w", keep.URI, a, err)
			}
		}
		if ref.Digest == "" {
			c.Pin("m/1", ref, digest)
		}
		release()
	}
}

// counts returns the full count in a soak (make soak), else the reduced one.
func counts(reduced, full int) int {
	if os.Getenv("SEGUE_SOAK") == "1" {
		return full
	}
	return reduced
}

func TestProcessesThatShareACacheAndAreKilledAtAnyMomentLeaveItWhole(t *testing.T) {
	dir, source := filepath.Join(t.TempDir(), "cache"), t.TempDir()
	common := noise(100<<10, 1)
	for i := range 8 {
		from, _ := packed(t, fmt.Sprint(i), map[string][]byte{"common.bin": common, "own/weights.bin": noise(150<<10, byte(i+2)), "empty": {}})
		if err := os.CopyFS(filepath.Join(source, fmt.Sprint(i)), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	type process struct {
		cmd *exec.Cmd
		out bytes.Buffer
	}
	begin := func() *process {
		p := &process{cmd: exec.Command(os.Args[0], "-test.run=^$")}
		p.cmd.Env = append(os.Environ(), workerEnv+"="+dir+"\n"+source)
		p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	end := func(p *process) {
		_ = p.cmd.Process.Kill() // one that ended by itself shows in its output
		_ = p.cmd.Wait()
		if p.out.Len() > 0 {
			t.Errorf("a process failed: %s", &p.out)
		}
	}
	kills, torn, changed, interrupted := counts(60, 1000), 0, 0, 0
	var before []string
	running := []*process{begin(), begin()}
	for i := range kills {
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		end(running[i%2])
		complete := names(filepath.Join(dir, entriesDir))
		if !slices.Equal(complete, before) {
			changed++
		}
		before = complete
		if len(names(filepath.Join(dir, stagingDir))) > 0 {
			interrupted++
		}
		for _, name := range complete {
			if e := (&Cache{dir: dir}).grasp(digestPrefix + name); e != nil {
				if a, err := artifact.Verify(t.Context(), e.dir); err != nil || a.Digest != e.digest {
					torn++
					t.Errorf("after %d kills: entry %s is torn: %v", i+1, name, err)
				}
				e.lock.close()
			}
		}
		running[i%2] = begin()
	}
	for _, p := range running {
		end(p)
	}

	// The next process clears up, and goes on with what is left.
	left := len(names(filepath.Join(dir, stagingDir)))
	c := open(t, dir, plenty)
	if trash := names(filepath.Join(dir, trashDir)); len(trash) > 0 {
		t.Errorf("left in the trash: %v", trash)
	}
	for _, name := range names(source) {
		path, release, err := c.Store(warehouse{source}).Fetch(t.Context(), store.Ref{URI: "warehouse:" + name}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := artifact.Verify(t.Context(), path); err != nil {
			t.Error(err)
		}
		release()
	}
	tidy(t, dir)
	t.Logf("%d kills of processes that share a cache, %d of them with a download under way, %d after entries had come or gone: %d torn entries, %d downloads left to go on with",
		kills, interrupted, changed, torn, left)
	if interrupted < 3 || changed < 3 {
		t.Error("too little was under way: these kills show nothing")
	}
}
