package artifact_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// settle waits until the files of a folder were not changed for so long that a
// Verifier remembers them.
func settle(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var v artifact.Verifier
		first, err := v.Verify(t.Context(), dir)
		must(t, err)
		second, err := v.Verify(t.Context(), dir)
		must(t, err)
		if first == second {
			return
		}
	}
	t.Fatal("an artifact that nobody changes is not remembered")
}

func TestAVerifierRemembersUntilAnythingChanges(t *testing.T) {
	dir, digest := artifacttest.PackDoubler(t, "one")
	var v artifact.Verifier
	verify := func() *artifact.Artifact {
		t.Helper()
		a, err := v.Verify(t.Context(), dir)
		must(t, err)
		return a
	}
	if fresh := verify(); verify() == fresh {
		t.Error("a file that was written just now is remembered: it could change unseen")
	}
	settle(t, dir)
	first := verify()
	if first.Digest != digest {
		t.Errorf("digest %s, want %s", first.Digest, digest)
	}
	if verify() != first {
		t.Error("nothing changed, and it was read again")
	}
	must(t, first.Unchanged())

	model := filepath.Join(dir, "model.onnx")
	info, err := os.Stat(model)
	must(t, err)
	body, err := os.ReadFile(model)
	must(t, err)
	// Same size, same times as far as they can be set.
	body[len(body)-1] ^= 1
	must(t, os.WriteFile(model, body, 0o644))
	must(t, os.Chtimes(model, info.ModTime(), info.ModTime()))
	if _, err := v.Verify(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("another model: got %v, want it refused", err)
	}
	body[len(body)-1] ^= 1
	must(t, os.WriteFile(model, body, 0o644))
	if verify() == first {
		t.Error("the model was written again, and was not read again")
	}
	manifest := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(manifest)
	must(t, err)
	must(t, os.WriteFile(manifest, append(text, ' '), 0o644))
	if a := verify(); a.Digest == digest {
		t.Error("the manifest changed, and its digest did not")
	}
}

func TestAVerifierForgetsWhatIsGone(t *testing.T) {
	dir, _ := artifacttest.PackDoubler(t, "one")
	settle(t, dir)
	var v artifact.Verifier
	_, err := v.Verify(t.Context(), dir)
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, "model.onnx")))
	if _, err := v.Verify(t.Context(), dir); err == nil {
		t.Error("the model is gone, and the artifact is good")
	}
	must(t, os.RemoveAll(dir))
	if _, err := v.Verify(t.Context(), dir); err == nil {
		t.Error("the folder is gone, and the artifact is good")
	}
}

// TestAVerifierIsBounded fills it with manifests that are too large together.
func TestAVerifierIsBounded(t *testing.T) {
	var dirs []string
	for _, salt := range []string{"one", "two", "three"} {
		manifest := artifacttest.DoublerManifest()
		manifest.Provenance = &artifact.Provenance{Commit: salt, Data: strings.Repeat("x", 7<<20)}
		dir, _ := artifacttest.Pack(t, manifest, map[string][]byte{"model.onnx": artifacttest.Doubler().Bytes()})
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		settle(t, dir)
	}
	var v artifact.Verifier
	verify := func(dir string) *artifact.Artifact {
		t.Helper()
		a, err := v.Verify(t.Context(), dir)
		must(t, err)
		return a
	}
	first, second := verify(dirs[0]), verify(dirs[1])
	if verify(dirs[0]) != first || verify(dirs[1]) != second {
		t.Error("two fit, and are not both remembered")
	}
	third := verify(dirs[2])
	if verify(dirs[2]) != third || verify(dirs[1]) != second {
		t.Error("the last two used are not remembered")
	}
	if verify(dirs[0]) == first {
		t.Error("three do not fit, and the oldest is remembered")
	}
}
