package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/mlflow"
)

// followed answers for documents that follow a model of an MLflow registry.
type followed struct {
	server *mlflow.Server
	// modelVersion is the policy of documents that have none.
	modelVersion string

	mu sync.Mutex
	// digests are those of versions' manifests by reference, empty for an
	// artifact without one. What a version holds does not change.
	digests map[string]string
}

func newFollowed(server *mlflow.Server, modelVersion string) *followed {
	return &followed{server: server, modelVersion: modelVersion, digests: map[string]string{}}
}

// resolve asks the registry for what a follow block wants.
func (f *followed) resolve(ctx context.Context, block configs.Follow) (*configs.Resolution, error) {
	model, err := mlflow.ParseReference(block.From)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", block.From, err)
	}
	policy := block.Policy.Or(f.modelVersion)
	registered, err := f.server.Registered(ctx, model.Model, policy.Latest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", block.From, err)
	}
	found := &configs.Resolution{From: block.From, Policy: block.Policy, Versions: map[string]configs.ResolvedVersion{}}
	versions := append(registered.Versions, policy.Versions...)
	for _, alias := range policy.Aliases {
		// One that is not set is left out: a document that needs it says so.
		if version, ok := registered.Aliases[alias]; ok {
			if found.Aliases == nil {
				found.Aliases = map[string]string{}
			}
			found.Aliases[alias] = version
			versions = append(versions, version)
		}
	}
	for _, version := range versions {
		uri := block.From + "/" + version
		digest, err := f.digest(ctx, uri)
		if err != nil {
			return nil, err
		}
		found.Versions[version] = configs.ResolvedVersion{URI: uri, Digest: digest}
	}
	return found, nil
}

// digest is that of a version's manifest, empty where there is none. A version
// whose artifact is not there, or cannot be fetched ever, has none either: it
// fails when it is loaded, with the reason.
func (f *followed) digest(ctx context.Context, uri string) (string, error) {
	f.mu.Lock()
	known, ok := f.digests[uri]
	f.mu.Unlock()
	if ok {
		return known, nil
	}
	digest, complete, err := f.readDigest(ctx, uri)
	if err != nil && (errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err)) {
		return "", nil
	}
	if err == nil && complete {
		f.mu.Lock()
		f.digests[uri] = digest
		f.mu.Unlock()
	}
	return digest, err
}

// readDigest reads a version's manifest. Complete reports that there is an
// artifact, with a manifest or without one.
func (f *followed) readDigest(ctx context.Context, uri string) (digest string, complete bool, err error) {
	origin, err := f.server.Open(ctx, store.Ref{URI: uri})
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, origin.Close()) }()
	body, err := origin.Read(ctx, artifact.ManifestFile, 0)
	if errors.Is(err, fs.ErrNotExist) {
		files, err := origin.Files(ctx, maxListed)
		return "", len(files) > 0, err
	}
	if err != nil {
		return "", false, err
	}
	manifest, err := store.ReadManifest(body)
	if err != nil {
		return "", false, err
	}
	return artifact.Digest(manifest), true, nil
}

// maxListed bounds the files of an artifact that has no manifest.
const maxListed = 100_000
