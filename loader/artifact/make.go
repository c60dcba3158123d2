package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
)

// Make describes the artifact at a path as it lies there, whether or not it
// has a manifest already: model.onnx in a folder, a bare .onnx file, or a
// folder of Triton's layout, which holds one version as 1/model.onnx. The
// manifest lists the model, the external data that it names, and a drift
// profile; it has no labels, goldens or provenance, which a packer adds.
// Warnings say what could not be told.
func Make(ctx context.Context, at string) (m *Manifest, warnings []string, err error) {
	f, err := openFolder(at)
	if err != nil {
		return nil, nil, err
	}
	defer f.root.Close()
	var a Artifact
	if err := a.make(ctx, f); err != nil {
		return nil, nil, err
	}
	return a.Manifest, a.Warnings, nil
}

// makeManifest stands in for a manifest that is not there.
func (a *Artifact) makeManifest(ctx context.Context, f *folder) error {
	if err := a.make(ctx, f); err != nil {
		return err
	}
	body, err := Marshal(a.Manifest)
	if err != nil {
		return err
	}
	a.Digest = Digest(body)
	a.Warnings = append(a.Warnings, "there is no "+ManifestFile+": one was made on the way, without golden answers")
	return nil
}

func (a *Artifact) make(ctx context.Context, f *folder) error {
	model, err := f.findModel()
	if err != nil {
		return err
	}
	graph, err := f.graph(model)
	if err != nil {
		return err
	}
	names := []string{model}
	for _, e := range graph.External {
		names = append(names, path.Join(path.Dir(model), e.Location))
	}
	if f.only == "" {
		if _, err := f.root.Lstat(ProfileFile); err == nil {
			names = append(names, ProfileFile)
		}
	}
	a.files = make(map[string]fs.FileInfo, len(names))
	a.Manifest = &Manifest{Schema: Schema}
	for _, name := range names {
		if _, twice := a.files[name]; twice {
			return fmt.Errorf("%s: external data names a file that is listed already", name)
		}
		file, info, err := f.describe(ctx, name)
		if err != nil {
			return err
		}
		a.Manifest.Files = append(a.Manifest.Files, file)
		a.files[name] = info
	}
	if err := f.checkExternal(graph, model, a.files); err != nil {
		return err
	}
	signature, err := graph.Signature()
	var undeclared *UndeclaredShapeError
	if errors.As(err, &undeclared) {
		a.Warnings = append(a.Warnings, err.Error()+": the engine's signature is taken as it is")
	} else if err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	a.Manifest.Signature = signature
	return nil
}

// findModel returns the relative name of the only model.
func (f *folder) findModel() (string, error) {
	if f.only != "" {
		return f.only, nil
	}
	if _, err := f.root.Stat(ModelFile); err == nil {
		return ModelFile, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", ModelFile, WithoutPath(err))
	}
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return "", WithoutPath(err)
	}
	found := ""
	for _, e := range entries {
		name := path.Join(e.Name(), ModelFile)
		if _, err := f.root.Stat(filepath.FromSlash(name)); err != nil {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%s and %s are there: name the folder of one version", found, name)
		}
		found = name
	}
	if found == "" {
		return "", fmt.Errorf("neither %s nor %s nor <version>/%s is there", ManifestFile, ModelFile, ModelFile)
	}
	return found, nil
}

// Write validates a manifest, puts it into the folder dir in one step, and
// returns its digest.
func Write(dir string, m *Manifest) (digest string, err error) {
	if err := m.Validate(); err != nil {
		return "", fmt.Errorf("%s: %w", ManifestFile, err)
	}
	body, err := Marshal(m)
	if err != nil {
		return "", err
	}
	if err := writeFile(dir, ManifestFile, body); err != nil {
		return "", err
	}
	return Digest(body), nil
}
