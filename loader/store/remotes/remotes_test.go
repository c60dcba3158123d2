package remotes_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/remotes"
)

func TestEverySchemeOfDocumentsHasItsStore(t *testing.T) {
	all, err := remotes.Open(egress.Hosts{}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields("azblob dvc gs http https mlflow oci s3")
	if got := slices.Sorted(maps.Keys(all.ByScheme)); !slices.Equal(got, want) {
		t.Errorf("schemes are %q, want %q", got, want)
	}
	for scheme, remote := range all.ByScheme {
		// Each store refuses what only another one could mean.
		if _, err := remote.Open(t.Context(), store.Ref{URI: scheme + ":"}); err == nil || !store.IsPermanent(err) {
			t.Errorf("%s: got %v", scheme, err)
		}
	}
}

func TestASettingThatCannotBeIsSaid(t *testing.T) {
	_, err := remotes.Open(egress.Hosts{}, func(name string) string {
		return map[string]string{"MLFLOW_TRACKING_URI": "sqlite:///x"}[name]
	})
	if err == nil || !strings.Contains(err.Error(), "MLFLOW_TRACKING_URI") {
		t.Errorf("got %v", err)
	}
}
