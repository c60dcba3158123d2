package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// unlisted fetches an artifact that has no manifest: all files that lie there,
// each in one piece. Its digest is that of the manifest which a verifier makes
// of it.
func (d *download) unlisted(ctx context.Context) (*entry, error) {
	files, err := d.list()
	if err != nil {
		return nil, err
	}
	s, err := d.cache.stage(ctx, "unlisted-"+lastOf(d.ref).key())
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.clear(); err != nil {
		return nil, err
	}
	digest, err := d.fillUnlisted(ctx, s, files)
	if err == nil && d.digest != "" && digest != d.digest {
		err = d.differs(digest)
	}
	if err != nil {
		return nil, errors.Join(err, s.free()) // another try begins anew
	}
	return s.commit(ctx, digest)
}

// list returns what lies at the place, with names and sizes that are fit to
// begin with.
func (d *download) list() ([]artifact.File, error) {
	var listed []store.RemoteFile
	err := d.ask(func() (err error) {
		listed, err = d.origin.Files(d.watch.ctx, maxFiles)
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("there is no %s, and the store cannot say which files there are", artifact.ManifestFile)
	}
	if err != nil {
		return nil, err
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("nothing lies there (%w)", fs.ErrNotExist)
	}
	if len(listed) > maxFiles {
		return nil, fmt.Errorf("%d files lie there, and %d are allowed", len(listed), maxFiles)
	}
	files := make([]artifact.File, len(listed))
	for i, f := range listed {
		if !fs.ValidPath(f.Name) || f.Name == "." || strings.Contains(f.Name, `\`) || strings.ContainsFunc(f.Name, unicode.IsControl) {
			return nil, fmt.Errorf("a file of the artifact is called %q, which is not a clean relative path", f.Name)
		}
		if strings.HasPrefix(f.Name, artifact.ManifestFile) {
			return nil, fmt.Errorf("there is no %s, and there is %s: a push is under way, or broke off", artifact.ManifestFile, f.Name)
		}
		files[i] = artifact.File{Path: f.Name, Size: max(f.Size, -1)}
		d.total += max(f.Size, 0)
	}
	slices.SortFunc(files, func(a, b artifact.File) int { return strings.Compare(a.Path, b.Path) })
	for i := range files[1:] {
		if files[i].Path == files[i+1].Path {
			return nil, fmt.Errorf("%s: is listed twice", files[i].Path)
		}
	}
	return files, nil
}

// fillUnlisted brings all files and returns the digest of the artifact. Room is
// claimed as far as the sizes are known, and for the others as they come.
func (d *download) fillUnlisted(ctx context.Context, s *staging, files []artifact.File) (digest string, err error) {
	for i := -1; i < len(files); i++ {
		if i < 0 || files[i].Size < 0 {
			if i >= 0 {
				if files[i], err = d.pull(ctx, s, files[i]); err != nil {
					return "", within(files[i].Path, err)
				}
			}
			size, err := d.cache.roomOf(files)
			if err != nil {
				return "", err
			}
			if err := d.cache.makeRoom(ctx, s, size); err != nil {
				return "", err
			}
			continue
		}
		if _, err := d.pull(ctx, s, files[i]); err != nil {
			return "", within(files[i].Path, err)
		}
	}
	made, _, err := artifact.Make(ctx, artifactPath(s.root.Name()))
	if err != nil {
		return "", store.Later(err, tooOften)
	}
	body, err := artifact.Marshal(made)
	if err != nil {
		return "", err
	}
	return artifact.Digest(body), nil
}
