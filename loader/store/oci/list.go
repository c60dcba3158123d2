package oci

import (
	"context"
	"fmt"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// List finds the tags of a repository that have files. Of a reference with a
// tag it describes that one.
func (s *Store) List(ctx context.Context, ref store.Ref) ([]store.Listed, error) {
	repo, err := s.connect(ref.URI)
	if err != nil {
		return nil, err
	}
	found := []store.Listed{}
	describe := func(reference, separator string) error {
		one, err := repo.open(ctx, reference)
		if store.IsPermanent(err) {
			return nil // an image of a container, say
		}
		if err != nil {
			return err
		}
		if len(one.files) > 0 {
			found = append(found, one.listed(separator+reference))
		}
		return nil
	}
	if reference := repo.Reference.Reference; reference != "" {
		separator := ":"
		if repo.Reference.ValidateReferenceAsDigest() == nil {
			separator = "@"
		}
		return found, describe(reference, separator)
	}
	var tags []string
	err = repo.Tags(ctx, "", func(some []string) error {
		tags = append(tags, some...)
		return nil
	})
	if err != nil {
		return nil, repo.fault("list tags", err)
	}
	for _, tag := range tags {
		if err := describe(tag, ":"); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// listed describes an artifact under the reference that ends so.
func (o *origin) listed(end string) store.Listed {
	one := store.Listed{URI: fmt.Sprintf("oci:%s/%s%s%s", o.Reference.Registry, o.Reference.Repository, end, o.parameters)}
	if own, ok := o.files[artifact.ManifestFile]; ok {
		one.Digest = own.Digest.String()
	}
	for _, layer := range o.files {
		one.Size += layer.Size
	}
	return one
}
