package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/segue-serving/segue/loader/store"
)

// Options configure a Cache. All may be left out.
type Options struct {
	// Log may be nil.
	Log *slog.Logger
	// Metrics count the bytes that arrive; they may be nil.
	Metrics *store.Metrics
	// Stall is how long a store may send next to nothing before it counts as
	// gone, 30 s by default.
	Stall time.Duration
}

// Cache is a folder of artifacts. It is safe for concurrent use, and several
// processes may share the folder.
type Cache struct {
	dir     string
	limit   int64
	log     *slog.Logger
	metrics *store.Metrics
	stall   time.Duration

	mu      sync.Mutex
	keeping map[store.Ref]*entry // nil where the artifact is not there yet
	doubted map[string]struct{}  // digests of entries that did not verify
	bare    map[string]struct{}  // digests of entries without a signature that is good enough
	// What an entry holds never changes, so it is read once.
	sizes   map[string]int64
	indexed map[string]struct{}
	index   map[string]location // by SHA-256
}

// The folders of a cache.
const (
	entriesDir = "entries"
	stagingDir = "staging"
	trashDir   = "trash"
	refsDir    = "refs"
)

// Open opens the cache in a folder, which is made where it is missing, and
// clears up what processes that were killed left there. Limit bounds the bytes
// that it takes on disk. Where the folder cannot be written, a folder of this
// user among the machine's temporary files takes its place, and the log says
// so; an error is returned only where that cannot be had either.
func Open(dir string, limit int64, options Options) (*Cache, error) {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Stall <= 0 {
		options.Stall = 30 * time.Second
	}
	c := &Cache{
		dir: dir, limit: limit, log: options.Log, metrics: options.Metrics, stall: options.Stall,
		keeping: map[store.Ref]*entry{}, doubted: map[string]struct{}{}, bare: map[string]struct{}{},
		sizes: map[string]int64{}, indexed: map[string]struct{}{}, index: map[string]location{},
	}
	err := c.make()
	if err == nil {
		c.dir, err = filepath.Abs(dir)
	}
	if err != nil {
		c.dir = filepath.Join(os.TempDir(), fmt.Sprintf("segue-artifacts-%d", os.Getuid()))
		if again := errors.Join(private(c.dir), c.make()); again != nil {
			return nil, fmt.Errorf("artifact cache: %w; in the temporary folder: %w", plain(err), plain(again))
		}
		c.log.Warn("the artifact cache cannot be written: artifacts are kept among the temporary files", "dir", dir, "instead", c.dir, "error", plain(err))
	}
	if err := c.sweep(); err != nil {
		c.log.Warn("the artifact cache was not cleared up", "error", err)
	}
	return c, nil
}

// Dir is the path of the folder in use: the one asked for, absolute, or where it
// could not be written the one among the temporary files.
func (c *Cache) Dir() string { return c.dir }

// make makes the folders, and shows that they can be written and locked.
func (c *Cache) make() error {
	if c.dir == "" {
		return errors.New("there is no state folder")
	}
	for _, name := range []string{entriesDir, stagingDir, trashDir, refsDir} {
		if err := os.MkdirAll(filepath.Join(c.dir, name), 0o700); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(c.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	// Some file systems of other machines have no locks of folders.
	l, err := lockAt(filepath.Join(c.dir, entriesDir), syscall.LOCK_EX)
	if errors.Is(err, errBusy) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock a folder: %w", err)
	}
	l.close()
	return nil
}

// private makes a folder that belongs to this user alone. One of that name that
// somebody else made is refused: the temporary folder is everybody's.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(stat.Uid) != os.Getuid() {
		return errors.New("the folder for it is there already, and is not this user's own")
	}
	return nil
}

// lockLimit is how long clearing up may wait for another process.
const lockLimit = 5 * time.Second

// sweep removes what nobody will go on with.
func (c *Cache) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), lockLimit)
	defer cancel()
	global, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer global.close()
	return errors.Join(c.sweepStaging(), c.sweepRefs(), c.emptyTrash())
}
