package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// download is one artifact on its way. Each attempt opens the origin anew, as
// the credentials or the addresses of the last may have run out, and goes on
// with what is staged.
type download struct {
	cache    *Cache
	remote   store.Remote
	ref      store.Ref
	progress store.Progress
	// digest is that of the manifest once it is known.
	digest string
	// copied are the files that were taken from another artifact.
	copied map[string]bool
	// done and total count the bytes of the artifact's files.
	done, total int64

	watch  *watch
	origin store.Origin
}

// maxFiles bounds how many files an artifact may have.
const maxFiles = 10_000

func (d *download) attempt(ctx context.Context) (e *entry, err error) {
	d.watch = newWatch(ctx, d.cache.stall)
	defer d.watch.end()
	d.done, d.total = 0, 0
	err = d.ask(func() (err error) {
		d.origin, err = d.remote.Open(d.watch.ctx, d.ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer d.close()
	body, err := d.manifest()
	if errors.Is(err, fs.ErrNotExist) {
		return d.unlisted(ctx)
	}
	if err != nil {
		return nil, err
	}
	return d.listed(ctx, body)
}

func (d *download) close() {
	if err := d.origin.Close(); err != nil {
		d.cache.log.Debug("a store did not close cleanly", "uri", withoutQuery(d.ref.URI), "error", err)
	}
}

// ask makes one request to the store under the watch. What goes wrong may pass
// soon, unless the store says what it has and has not.
func (d *download) ask(request func() error) error {
	d.watch.arm()
	defer d.watch.disarm()
	err := d.watch.cause(request())
	if err == nil || store.IsPermanent(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return transferError{err}
}

// small reads a small file whole. One that is not there is fs.ErrNotExist.
func (d *download) small(name string, limit int64) (body []byte, err error) {
	err = d.ask(func() error {
		file, err := d.origin.Read(d.watch.ctx, name, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		if file.Offset != 0 {
			return errors.New("the store gives another part than it was asked for")
		}
		body, err = io.ReadAll(io.LimitReader(fedReader{file, d}, limit+1))
		return err
	})
	if err != nil {
		return nil, within(name, err)
	}
	if int64(len(body)) > limit {
		return nil, store.Later(fmt.Errorf("%s: more than the %s allowed", name, bytesText(limit)), tooOften)
	}
	return body, nil
}

// fedReader tells the watch and the metrics of what comes.
type fedReader struct {
	io.Reader
	d *download
}

func (r fedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.d.watch.fed(n)
	r.d.cache.metrics.Received(int64(n))
	return n, err
}

// manifest returns the manifest's bytes, those that are staged where that is
// the right one already.
func (d *download) manifest() ([]byte, error) {
	if d.digest != "" {
		staged := filepath.Join(d.cache.dir, stagingDir, stagingKey(d.digest), filesDir, artifact.ManifestFile)
		if body, err := os.ReadFile(staged); err == nil && artifact.Digest(body) == d.digest {
			return body, nil
		}
	}
	return d.small(artifact.ManifestFile, artifact.MaxManifestBytes)
}

func stagingKey(digest string) string { return strings.TrimPrefix(digest, digestPrefix) }

// listed fetches an artifact by its manifest.
func (d *download) listed(ctx context.Context, body []byte) (*entry, error) {
	digest := artifact.Digest(body)
	if isPage(body) {
		return nil, store.Later(errPage(artifact.ManifestFile), longestPause)
	}
	if d.digest != "" && d.digest != digest {
		return nil, d.differs(digest)
	}
	manifest, err := artifact.Parse(body)
	if err != nil {
		return nil, err
	}
	d.digest = digest
	if len(manifest.Files) > maxFiles {
		return nil, fmt.Errorf("%s: %d files are listed, and %d are allowed", artifact.ManifestFile, len(manifest.Files), maxFiles)
	}
	s, err := d.cache.stage(ctx, stagingKey(digest))
	if err != nil {
		return nil, err
	}
	defer s.close()
	if e := d.cache.hold(ctx, digest); e != nil { // somebody else was faster, or it had no stated digest
		d.renewed(e)
		s.done()
		return e, nil
	}
	if err := d.fill(ctx, s, manifest.Files, body); err != nil {
		if diskFull(err) {
			err = errors.Join(err, s.free())
		}
		return nil, err
	}
	return s.commit(ctx, digest)
}

// fill brings every file into the staging folder.
func (d *download) fill(ctx context.Context, s *staging, files []artifact.File, manifest []byte) error {
	own := artifact.File{Path: artifact.ManifestFile, Size: int64(len(manifest))}
	size, err := d.cache.roomOf(append(files[:len(files):len(files)], own))
	if err != nil {
		return errors.Join(store.Permanent(err), s.free())
	}
	if err := d.cache.makeRoom(ctx, s, size); err != nil {
		return err
	}
	if err := s.write(artifact.ManifestFile, manifest); err != nil {
		return err
	}
	for _, f := range files {
		d.total += f.Size
	}
	d.cache.readIndex()
	for _, f := range files {
		if err := d.reuse(ctx, s, f); err != nil {
			return within(f.Path, err)
		}
		if _, err := d.pull(ctx, s, f); err != nil {
			return within(f.Path, err)
		}
	}
	return d.signature(s)
}

// differs says that the store has another artifact than is wanted.
func (d *download) differs(digest string) error {
	return store.Later(fmt.Errorf("%w: the artifact's digest is %s, and wanted is %s", store.ErrDigest, digest, d.digest), longestPause)
}

// isPage tells a web page, which a proxy or a login answers with 200.
func isPage(start []byte) bool {
	text := strings.ToLower(strings.TrimSpace(string(start[:min(len(start), 512)])))
	return strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html") || strings.HasPrefix(text, "<?xml") && strings.Contains(text, "html")
}

func errPage(name string) error {
	return fmt.Errorf("%s: the store answers a web page in its place (a login, a proxy or a wrong address?)", name)
}
