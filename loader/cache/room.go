package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
)

// blockSize is what file systems round a file's size up to.
const blockSize = 4096

// room is what a file takes on disk.
func room(size int64) int64 { return (size + blockSize - 1) &^ (blockSize - 1) }

// roomOf is what files take together, which must be within the limit.
func (c *Cache) roomOf(files []artifact.File) (int64, error) {
	total := int64(0)
	for _, f := range files {
		if f.Size > c.limit || total > c.limit {
			return 0, c.tooLarge("more than", max(f.Size, total))
		}
		total += room(max(0, f.Size))
	}
	if total > c.limit {
		return 0, c.tooLarge("", total)
	}
	return total, nil
}

func (c *Cache) tooLarge(words string, size int64) error {
	return fmt.Errorf("the artifact takes %s, and the whole cache may take %s (--cache-size)",
		strings.TrimSpace(words+" "+bytesText(size)), bytesText(c.limit))
}

// bytesText writes a size for people, and exactly.
func bytesText(n int64) string {
	const mib = 1 << 20
	if n < mib {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MiB (%d bytes)", float64(n)/mib, n)
}

// occupant is an entry or a download under way.
type occupant struct {
	dir  string
	size int64
	// missing is what of the size is not on disk yet.
	missing int64
	used    time.Time
}

// occupants lists what takes room, what was used longest ago first.
func (c *Cache) occupants() []occupant {
	var all []occupant
	add := func(dir string, size, missing int64) {
		if info, err := os.Stat(dir); err == nil {
			all = append(all, occupant{dir, size, missing, info.ModTime()})
		}
	}
	for _, name := range names(filepath.Join(c.dir, entriesDir)) {
		add(filepath.Join(c.dir, entriesDir, name), c.entrySize(name), 0)
	}
	for _, key := range names(filepath.Join(c.dir, stagingDir)) {
		dir := filepath.Join(c.dir, stagingDir, key)
		size := claimed(dir)
		add(dir, size, size-diskSize(filepath.Join(dir, filesDir)))
	}
	slices.SortFunc(all, func(a, b occupant) int { return a.used.Compare(b.used) })
	return all
}

// entrySize is what an entry takes, read from the disk once.
func (c *Cache) entrySize(name string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	size, ok := c.sizes[name]
	if !ok {
		size = diskSize(filepath.Join(c.dir, entriesDir, name))
		c.sizes[name] = size
	}
	return size
}

// diskSize is what the files in a folder take. One that goes meanwhile takes
// nothing.
func diskSize(dir string) int64 {
	total := int64(0)
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += room(info.Size())
		}
		return nil
	})
	return total
}

// Bytes is what the cache takes on disk or will, downloads under way included.
func (c *Cache) Bytes() int64 {
	total := int64(0)
	for _, o := range c.occupants() {
		total += o.size
	}
	return total
}

// makeRoom claims room for a whole download, and removes what was used longest
// ago and nobody uses or keeps, as far as the limit or the disk needs it.
func (c *Cache) makeRoom(ctx context.Context, s *staging, size int64) error {
	global, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer global.close()
	if err := s.claim(size); err != nil {
		return err
	}
	skipped := map[string]bool{s.dir: true}
	for {
		all := c.occupants()
		used, missing := int64(0), int64(0)
		for _, o := range all {
			used, missing = used+o.size, missing+o.missing
		}
		free, err := freeSpace(c.dir)
		if err != nil {
			return fmt.Errorf("free space: %w", err)
		}
		if used <= c.limit && missing <= free {
			return nil
		}
		i := slices.IndexFunc(all, func(o occupant) bool { return !skipped[o.dir] })
		if i < 0 {
			return c.noRoom(s, size, used, missing, free)
		}
		if err := c.remove(all[i].dir); err != nil {
			skipped[all[i].dir] = true // in use
			continue
		}
		c.log.Info("removed from the artifact cache to make room", "entry", filepath.Base(all[i].dir), "bytes", all[i].size, "last_used", all[i].used)
	}
}

// noRoom says why there is none, and gives back the claim.
func (c *Cache) noRoom(s *staging, size, used, missing, free int64) error {
	err := s.free()
	if used > c.limit {
		return errors.Join(fmt.Errorf("the artifact takes %s, and of the %s that the cache may take (--cache-size) %s are in use or kept",
			bytesText(size), bytesText(c.limit), bytesText(used-size)), err)
	}
	return errors.Join(fmt.Errorf("%w: %s are to come, and the disk has %s left", errDiskFull, bytesText(missing), bytesText(free)), err)
}

var errDiskFull = errors.New("no room on the disk")

// diskFull tells a full disk, or a used-up quota, from other failures to write.
func diskFull(err error) bool {
	return errors.Is(err, errDiskFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// freeSpace is what this user may still write at a path.
func freeSpace(dir string) (int64, error) {
	var fsys syscall.Statfs_t
	if err := syscall.Statfs(dir, &fsys); err != nil {
		return 0, err
	}
	return int64(min(fsys.Bavail, 1<<62/uint64(fsys.Bsize))) * fsys.Bsize, nil
}
