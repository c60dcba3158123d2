package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Reading says how artifacts are read. The zero value is ready for use.
type Reading struct {
	// Progress is told how many more bytes were read and hashed. It is called
	// often, from one goroutine, and must not block. Nil tells nobody.
	Progress func(bytes int)
}

// Pack describes a folder that is to be published as a version: its model, and
// with it every other file there, so that a signature of the folder covers just
// what the manifest lists. Hidden files, the manifest and its signature are left
// out. The manifest has the model's signature, but no name, labels, goldens or
// provenance, which the packer adds; Write puts it there. Warnings are for the
// packer.
func (r Reading) Pack(ctx context.Context, dir string) (m *Manifest, warnings []string, err error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	defer f.root.Close()
	f.progress = r.Progress
	if f.only != "" {
		return nil, nil, fmt.Errorf("%s is a file: put it into a folder of its own as %s", f.only, ModelFile)
	}
	names, warnings, err := f.contents()
	if err != nil {
		return nil, nil, err
	}
	m = &Manifest{Schema: Schema}
	found := make(map[string]fs.FileInfo, len(names))
	for _, name := range names {
		file, info, err := f.describe(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		m.Files = append(m.Files, file)
		found[name] = info
	}
	model, err := m.ModelPath()
	if err != nil {
		return nil, nil, err
	}
	graph, err := f.graph(model)
	if err != nil {
		return nil, nil, err
	}
	if err := f.checkExternal(graph, model, found); err != nil {
		return nil, nil, err
	}
	m.Signature, err = graph.Signature()
	var undeclared *UndeclaredShapeError
	if errors.As(err, &undeclared) {
		return nil, nil, fmt.Errorf("%s: %w: export it with shapes, so that its signature can be packed", model, err)
	} else if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", model, err)
	}
	return m, warnings, nil
}

// contents are the names of the files to pack, in order.
func (f *folder) contents() (names, warnings []string, err error) {
	err = fs.WalkDir(f.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, WithoutPath(err))
		case name != "." && strings.HasPrefix(base, "."):
			warnings = append(warnings, name+": hidden, and so left out")
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || name == ManifestFile || name == SignatureFile:
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s: not a regular file: a version is made of files of its own, without links", name)
		case !validName(name):
			return fmt.Errorf("%q: the name has control characters or a backslash, or is not UTF-8", clip(name))
		case len(names) == MaxFiles:
			return fmt.Errorf("more than the %d files allowed", MaxFiles)
		}
		names = append(names, name)
		return nil
	})
	slices.Sort(names)
	return names, warnings, err
}
