package dvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/segue-serving/segue/loader/store"
)

// commit is the tree of one commit.
type commit struct {
	tree  *object.Tree
	close func() error
}

// maxFile bounds a file of the repository that is read: those are descriptions.
const maxFile = 16 << 20

// read returns a regular file of the tree; fs.ErrNotExist where there is none.
func (c *commit) read(name string) ([]byte, error) {
	entry, err := c.tree.FindEntry(name)
	if errors.Is(err, object.ErrEntryNotFound) || errors.Is(err, object.ErrDirectoryNotFound) || errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if entry.Mode != filemode.Regular && entry.Mode != filemode.Executable && entry.Mode != filemode.Deprecated {
		return nil, store.Permanent(fmt.Errorf("%s is a link, a submodule or a folder, and none is followed", name))
	}
	file, err := c.tree.TreeEntryFile(entry)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if file.Size > maxFile {
		return nil, store.Permanent(fmt.Errorf("%s has more than %d MiB", name, maxFile>>20))
	}
	reader, err := file.Reader()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer reader.Close()
	return io.ReadAll(io.LimitReader(reader, maxFile))
}

// commit finds the commit of a revision. The caller closes it.
func (d *Repositories) commit(ctx context.Context, r Reference) (*commit, error) {
	if !r.Local() {
		return d.fetch(ctx, r)
	}
	repository, err := git.PlainOpenWithOptions(r.Repository, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fmt.Errorf("there is no Git repository (%w)", fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("open the repository: %w", plain(err))
	}
	hash, err := repository.ResolveRevision(plumbing.Revision(r.Revision))
	if err != nil {
		return nil, errNoRevision
	}
	found, err := repository.CommitObject(*hash)
	if err != nil {
		return nil, errNoRevision
	}
	return treeOf(found, func() error { return nil })
}

// errNoRevision may pass: somebody may push it.
var errNoRevision = fmt.Errorf("the repository has no such revision (%w)", fs.ErrNotExist)

func treeOf(found *object.Commit, closing func() error) (*commit, error) {
	tree, err := found.Tree()
	if err != nil {
		return nil, fmt.Errorf("read the commit: %w", err)
	}
	return &commit{tree: tree, close: closing}, nil
}

// plain drops the paths from an error of the file system.
func plain(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// notThere is plain with the words for what is missing.
func notThere(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("it is not in the remote: run dvc push (%w)", fs.ErrNotExist)
	}
	return plain(err)
}
