package bucket

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// List finds every folder with a manifest below the prefix, and the prefix's
// own. It reads the manifests, which tell the digests.
func (s *Store) List(ctx context.Context, ref store.Ref) (_ []store.Listed, err error) {
	o, err := s.openOrigin(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	objects := map[string]*blob.ListObject{}
	it := o.bucket.List(&blob.ListOptions{Prefix: o.place.folder()})
	for {
		object, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, o.fault("list", err)
		}
		objects[object.Key] = object
	}
	found := []store.Listed{}
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if path.Base(key) != artifact.ManifestFile {
			continue
		}
		one, err := o.listed(ctx, objects, key)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	slices.SortFunc(found, func(a, b store.Listed) int { return cmp.Compare(a.URI, b.URI) })
	return found, nil
}

// listed describes the artifact whose manifest has a key.
func (o *origin) listed(ctx context.Context, objects map[string]*blob.ListObject, key string) (store.Listed, error) {
	below := *o
	below.place.prefix = strings.TrimSuffix(strings.TrimSuffix(key, artifact.ManifestFile), "/")
	body, err := below.readManifest(ctx)
	if err != nil {
		return store.Listed{}, err
	}
	one := store.Listed{URI: below.uri(), Digest: artifact.Digest(body), Size: int64(len(body)), Changed: objects[key].ModTime.UTC()}
	manifest, err := artifact.Parse(body)
	if err != nil {
		one.Size = -1 // somebody else's manifest.json, or a broken one
		return one, nil
	}
	for _, f := range manifest.Files {
		if object := objects[below.place.key(f.Path)]; object != nil {
			one.Size += object.Size
		}
	}
	return one, nil
}

// uri writes the reference of the artifact's folder.
func (o *origin) uri() string {
	u := url.URL{Scheme: o.store.scheme, Host: o.place.bucket, Path: "/" + o.place.prefix, RawQuery: o.place.parameters.Encode()}
	return u.String()
}
