package artifact_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

func TestAProfileIsTheOneThatWasVerified(t *testing.T) {
	files := map[string][]byte{"model.onnx": artifacttest.Doubler().Bytes(), artifact.ProfileFile: []byte(`{"schema": 1}`)}
	packed, _ := artifacttest.Pack(t, artifacttest.DoublerManifest(), files)
	for name, dir := range map[string]string{"packed": packed, "without a manifest": artifacttest.Folder(t, files)} {
		a, err := artifact.Verify(t.Context(), dir)
		must(t, err)
		if body, err := a.Profile(); err != nil || string(body) != `{"schema": 1}` {
			t.Errorf("%s: %q, %v", name, body, err)
		}
		must(t, os.WriteFile(filepath.Join(dir, artifact.ProfileFile), []byte(`{"schema": 2}`), 0o644))
		if body, err := a.Profile(); err == nil || !strings.Contains(err.Error(), "changed since") {
			t.Errorf("%s, changed since: %q, %v", name, body, err)
		}
		must(t, os.Remove(filepath.Join(dir, artifact.ProfileFile)))
		if _, err := a.Profile(); err == nil || strings.Contains(err.Error(), dir) {
			t.Errorf("%s, removed since: %v", name, err)
		}
	}
}

func TestAProfileThatIsNotListedIsNone(t *testing.T) {
	dir, _ := artifacttest.Pack(t, artifacttest.DoublerManifest(), map[string][]byte{"model.onnx": artifacttest.Doubler().Bytes()})
	must(t, os.WriteFile(filepath.Join(dir, artifact.ProfileFile), []byte(`{"schema": 1}`), 0o644))
	bare := filepath.Join(artifacttest.Folder(t, map[string][]byte{"m.onnx": artifacttest.Doubler().Bytes()}), "m.onnx")
	for _, at := range []string{dir, bare} {
		a, err := artifact.Verify(t.Context(), at)
		must(t, err)
		if body, err := a.Profile(); err != nil || body != nil {
			t.Errorf("%q, %v", body, err)
		}
	}
}
