package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Artifact is a version on disk that was read in full and found to be what
// its manifest says.
type Artifact struct {
	// Dir is the artifact's folder, as a path of this machine.
	Dir string
	// ModelPath is the ONNX file inside it, as a path of this machine.
	ModelPath string
	// Manifest is the artifact's own, or one made on the way.
	Manifest *Manifest
	// Digest is that of the manifest's bytes.
	Digest string
	// Warnings are what an operator should know though it refuses nothing.
	Warnings []string

	files map[string]fs.FileInfo
	// manifest is nil where it was made on the way.
	manifest fs.FileInfo
}

// Verify reads the artifact at a path in full: a folder with a manifest, or
// what Make makes one for. Every listed file must be there with its size and
// SHA-256, and external data must be safe to open. Files that are not listed
// draw a warning. Nothing stops a later change of the folder: Unchanged tells.
func Verify(ctx context.Context, at string) (*Artifact, error) { return Reading{}.Verify(ctx, at) }

// Verify is the function Verify, and tells of its progress.
func (r Reading) Verify(ctx context.Context, at string) (*Artifact, error) {
	f, err := openFolder(at)
	if err != nil {
		return nil, err
	}
	defer f.root.Close()
	f.progress = r.Progress
	a := &Artifact{files: make(map[string]fs.FileInfo)}
	made := f.only != ""
	if !made {
		if _, err := f.root.Lstat(ManifestFile); errors.Is(err, fs.ErrNotExist) {
			made = true
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", ManifestFile, WithoutPath(err))
		}
	}
	if made {
		err = a.makeManifest(ctx, f)
	} else {
		err = a.readManifest(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	model, err := a.Manifest.ModelPath()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	a.Dir = f.root.Name()
	a.ModelPath = filepath.Join(a.Dir, filepath.FromSlash(model))
	return a, nil
}

func (a *Artifact) readManifest(ctx context.Context, f *folder) error {
	body, info, err := f.read(ManifestFile, MaxManifestBytes)
	if err != nil {
		return err
	}
	a.manifest = info
	if a.Manifest, err = Parse(body); err != nil {
		return err
	}
	a.Digest = Digest(body)
	for _, want := range a.Manifest.Files {
		got, info, err := f.describe(ctx, want.Path)
		if err != nil {
			return err
		}
		if got.Size != want.Size {
			return fmt.Errorf("%s: %d bytes, the manifest says %d", want.Path, got.Size, want.Size)
		}
		if got.SHA256 != want.SHA256 {
			return fmt.Errorf("%s: SHA-256 is %s, the manifest says %s", want.Path, got.SHA256, want.SHA256)
		}
		a.files[want.Path] = info
	}
	model, err := a.Manifest.ModelPath()
	if err != nil {
		return err
	}
	graph, err := f.graph(model)
	if err != nil {
		return err
	}
	if err := f.checkExternal(graph, model, a.files); err != nil {
		return err
	}
	return a.warnUnlisted(f)
}

// warnUnlisted names the files that lie beside the listed ones. Detached
// signatures of the manifest and hidden files, such as a volume's own, are
// expected.
func (a *Artifact) warnUnlisted(f *folder) error {
	const mostSeen, mostNamed = 10_000, 10
	seen := 0
	var unlisted []string
	err := fs.WalkDir(f.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, WithoutPath(err))
		}
		if seen++; seen > mostSeen {
			return fs.SkipAll
		}
		hidden := name != "." && strings.HasPrefix(entry.Name(), ".")
		switch _, listed := a.files[name]; {
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case !entry.IsDir() && !hidden && !listed && !strings.HasPrefix(name, ManifestFile):
			unlisted = append(unlisted, name)
		}
		return nil
	})
	if err != nil || len(unlisted) == 0 {
		return err
	}
	slices.Sort(unlisted)
	more := ""
	if len(unlisted) > mostNamed {
		more = fmt.Sprintf(" and %d more", len(unlisted)-mostNamed)
		unlisted = unlisted[:mostNamed]
	}
	a.Warnings = append(a.Warnings, "not listed in the manifest and ignored: "+strings.Join(unlisted, ", ")+more)
	return nil
}

// Unchanged says whether the files still are those that were verified, by
// inode, size and modification time. It is meant for the moment after an
// engine opened the model, since an engine opens by path.
func (a *Artifact) Unchanged() error {
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		return WithoutPath(err)
	}
	defer root.Close()
	for name, was := range a.files {
		is, err := root.Stat(filepath.FromSlash(name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, WithoutPath(err))
		}
		if !os.SameFile(was, is) || was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime()) {
			return fmt.Errorf("%s: changed while it was being loaded", name)
		}
	}
	return nil
}
