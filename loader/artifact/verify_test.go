package artifact_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/artifact/signing"
)

func withWeights(location string) []byte {
	m := artifacttest.Doubler()
	m.Initializers = [][]byte{artifacttest.External("w", "location", location, "length", "8")}
	return m.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyTakesWhatTheManifestSays(t *testing.T) {
	dir, digest := artifacttest.Pack(t, artifacttest.DoublerManifest(), map[string][]byte{
		"model.onnx": withWeights("data/w.bin"), "data/w.bin": make([]byte, 8),
	})
	must(t, os.WriteFile(filepath.Join(dir, "manifest.json.sig"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, ".hidden"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644))
	a, err := artifact.Verify(t.Context(), dir)
	must(t, err)
	if a.Digest != digest || a.ModelPath != filepath.Join(dir, "model.onnx") || a.Manifest.Model != "doubler" {
		t.Errorf("got %+v, want digest %s", a, digest)
	}
	if len(a.Warnings) != 1 || a.Warnings[0] != "not listed in the manifest and ignored: notes.txt" {
		t.Errorf("got warnings %q, want one of notes.txt", a.Warnings)
	}
	must(t, a.Unchanged())
}

func TestVerifyRefusesWhatDiffers(t *testing.T) {
	link := func(t *testing.T, old, new string) {
		t.Helper()
		must(t, os.Remove(new))
		must(t, os.Symlink(old, new))
	}
	for _, c := range []struct {
		name, want string
		change     func(t *testing.T, dir string)
	}{
		{"missing file", "data/w.bin: no such file", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "data/w.bin"))) }},
		{"other size", "data/w.bin: 9 bytes, the manifest says 8", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "data/w.bin"), make([]byte, 9), 0o644))
		}},
		{"other bytes", "data/w.bin: SHA-256 is ", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "data/w.bin"), []byte("changed!"), 0o644))
		}},
		{"a folder", "data/w.bin: not a regular file", func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "data/w.bin")))
			must(t, os.Mkdir(filepath.Join(dir, "data/w.bin"), 0o755))
		}},
		{"a pipe", "data/w.bin: not a regular file", func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "data/w.bin")))
			must(t, syscall.Mkfifo(filepath.Join(dir, "data/w.bin"), 0o644))
		}},
		{"a link that leaves", "data/w.bin: path escapes from parent", func(t *testing.T, dir string) {
			outside := filepath.Join(t.TempDir(), "w.bin")
			must(t, os.WriteFile(outside, make([]byte, 8), 0o644))
			link(t, outside, filepath.Join(dir, "data/w.bin"))
		}},
		{"a hard link", "data/w.bin: external data has 2 hard links", func(t *testing.T, dir string) {
			must(t, os.Link(filepath.Join(dir, "data/w.bin"), filepath.Join(t.TempDir(), "other")))
		}},
		{"no manifest that can be read", "manifest.json: not a regular file", func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "manifest.json")))
			must(t, os.Mkdir(filepath.Join(dir, "manifest.json"), 0o755))
		}},
		{"a bad manifest", "manifest.json: schema: is there twice", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"schema":1,"schema":1}`), 0o644))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := artifacttest.Pack(t, artifacttest.DoublerManifest(), map[string][]byte{
				"model.onnx": withWeights("data/w.bin"), "data/w.bin": make([]byte, 8),
			})
			c.change(t, dir)
			_, err := artifact.Verify(t.Context(), dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want …%s…", err, c.want)
			}
			if strings.Contains(err.Error(), dir) {
				t.Errorf("%v names the machine's folder", err)
			}
		})
	}
}

func TestVerifyRefusesUnsafeExternalData(t *testing.T) {
	for _, c := range []struct {
		name, want string
		files      map[string][]byte
	}{
		{"unlisted", "w.bin: external data of tensor \"w\" is not listed", map[string][]byte{"model.onnx": withWeights("w.bin")}},
		{"too short", "w.bin: external data reaches to byte 8 of a file of 7",
			map[string][]byte{"model.onnx": withWeights("w.bin"), "w.bin": make([]byte, 7)}},
		{"out of the folder", `"../w.bin" is not a clean relative path`, map[string][]byte{"model.onnx": withWeights("../w.bin")}},
		{"no ONNX", "model.onnx: not a readable ONNX model", map[string][]byte{"model.onnx": []byte("PK zip")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := artifacttest.Pack(t, artifacttest.DoublerManifest(), c.files)
			if _, err := artifact.Verify(t.Context(), dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestHardLinksOfOtherFilesAreTaken(t *testing.T) {
	dir, _ := artifacttest.PackDoubler(t, "")
	must(t, os.Link(filepath.Join(dir, "model.onnx"), filepath.Join(t.TempDir(), "cache")))
	_, err := artifact.Verify(t.Context(), dir)
	must(t, err)
}

func TestSymbolicLinksInsideTheFolderAreFollowed(t *testing.T) {
	// How Kubernetes mounts a ConfigMap.
	dir, digest := artifacttest.PackDoubler(t, "")
	must(t, os.Mkdir(filepath.Join(dir, "..data"), 0o755))
	for _, name := range []string{"model.onnx", "manifest.json"} {
		must(t, os.Rename(filepath.Join(dir, name), filepath.Join(dir, "..data", name)))
		must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	a, err := artifact.Verify(t.Context(), dir)
	must(t, err)
	if a.Digest != digest || len(a.Warnings) > 0 {
		t.Errorf("got %s and %q, want %s", a.Digest, a.Warnings, digest)
	}
}

func TestArtifactsWithoutManifestGetOne(t *testing.T) {
	model := withWeights("w.bin")
	files := map[string][]byte{"model.onnx": model, "w.bin": make([]byte, 8)}
	plain := artifacttest.Folder(t, files)
	triton := artifacttest.Folder(t, map[string][]byte{"1/model.onnx": model, "1/w.bin": make([]byte, 8), "config.pbtxt": nil})
	bare := artifacttest.Folder(t, map[string][]byte{"any.onnx": model, "w.bin": make([]byte, 8), "manifest.json": []byte("not this one")})
	for _, c := range []struct{ name, at, dir, model string }{
		{"plain folder", plain, plain, "model.onnx"},
		{"Triton's layout", triton, triton, "1/model.onnx"},
		{"bare file", filepath.Join(bare, "any.onnx"), bare, "any.onnx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := artifact.Verify(t.Context(), c.at)
			must(t, err)
			if a.Dir != c.dir || a.ModelPath != filepath.Join(c.dir, c.model) {
				t.Errorf("got %s in %s, want %s in %s", a.ModelPath, a.Dir, c.model, c.dir)
			}
			if len(a.Manifest.Files) != 2 || a.Manifest.Signature.Input("x") != 0 {
				t.Errorf("got manifest %+v, want two files and input x", a.Manifest)
			}
			if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "there is no manifest.json") {
				t.Errorf("got warnings %q", a.Warnings)
			}
			again, err := artifact.Verify(t.Context(), c.at)
			must(t, err)
			if !artifact.ValidDigest(a.Digest) || again.Digest != a.Digest {
				t.Errorf("got digests %s and %s, want one", a.Digest, again.Digest)
			}
		})
	}
}

func TestAmbiguousOrEmptyPlacesAreRefused(t *testing.T) {
	model := artifacttest.Doubler().Bytes()
	open := artifacttest.Doubler()
	open.Outputs[0].ElemType = 14
	for _, c := range []struct{ name, at, want string }{
		{"empty", t.TempDir(), "neither manifest.json nor model.onnx nor <version>/model.onnx is there"},
		{"missing", filepath.Join(t.TempDir(), "no"), "no such file or directory"},
		{"two versions", artifacttest.Folder(t, map[string][]byte{"1/model.onnx": model, "2/model.onnx": model}),
			"1/model.onnx and 2/model.onnx are there: name the folder of one version"},
		{"another file", filepath.Join(artifacttest.Folder(t, map[string][]byte{"a.txt": nil}), "a.txt"), "neither a folder nor an .onnx file"},
		{"unserved", artifacttest.Folder(t, map[string][]byte{"model.onnx": open.Bytes()}), `model.onnx: output "y" is complex64`},
		{"itself as data", artifacttest.Folder(t, map[string][]byte{"model.onnx": withWeights("model.onnx")}), "listed already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := artifact.Verify(t.Context(), c.at); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			} else if strings.Contains(err.Error(), filepath.Dir(c.at)) {
				t.Errorf("%v names the machine's folder", err)
			}
		})
	}
}

func TestUndeclaredShapesLeaveTheSignatureToTheEngine(t *testing.T) {
	model := artifacttest.Doubler()
	model.Outputs[0].Shape = nil
	a, err := artifact.Verify(t.Context(), artifacttest.Folder(t, map[string][]byte{"model.onnx": model.Bytes()}))
	must(t, err)
	if a.Manifest.Signature != nil || !strings.Contains(strings.Join(a.Warnings, "\n"), `declares no shape for output "y"`) {
		t.Errorf("got signature %v and warnings %q", a.Manifest.Signature, a.Warnings)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	dir, _ := artifacttest.PackDoubler(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := artifact.Verify(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}

func TestUnchangedTellsOfAnyReplacement(t *testing.T) {
	for name, change := range map[string]func(model string){
		"touched":  func(model string) { must(t, os.Chtimes(model, time.Time{}, time.Unix(1, 0))) },
		"replaced": func(model string) { must(t, os.Rename(model+".new", model)) },
		"removed":  func(model string) { must(t, os.Remove(model)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := artifacttest.PackDoubler(t, "")
			a, err := artifact.Verify(t.Context(), dir)
			must(t, err)
			body, err := os.ReadFile(a.ModelPath)
			must(t, err)
			must(t, os.WriteFile(a.ModelPath+".new", body, 0o644))
			must(t, a.Unchanged())
			change(a.ModelPath)
			if err := a.Unchanged(); err == nil || !strings.HasPrefix(err.Error(), "model.onnx: ") || strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want a change of model.onnx", err)
			}
		})
	}
}

func TestWriteLeavesNoHalfManifest(t *testing.T) {
	dir, _ := artifacttest.PackDoubler(t, "")
	before, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	must(t, err)
	if _, err := artifact.Write(dir, &artifact.Manifest{Schema: 1}); err == nil || !strings.Contains(err.Error(), "files: no model.onnx") {
		t.Errorf("got %v, want a refusal", err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	must(t, err)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if string(after) != string(before) || len(entries) != 2 {
		t.Errorf("the folder changed: %v", entries)
	}
}

// signed packs a Doubler and signs it with a key of its own.
func signed(t *testing.T) (dir string, signers []*signing.Trusted) {
	t.Helper()
	dir, _ = artifacttest.PackDoubler(t, "signed")
	return dir, []*signing.Trusted{artifacttest.Sign(t, dir, "release")}
}

func TestSignatureCoversManifestAndFiles(t *testing.T) {
	dir, signers := signed(t)
	a, err := artifact.Verify(t.Context(), dir)
	must(t, err)
	s, err := a.Signature(signers)
	must(t, err)
	if s.By != "release" || len(a.Warnings) != 0 {
		t.Errorf("signed by %q, warnings %q; want release and none", s.By, a.Warnings)
	}
	policy := signing.Policy{Trusted: signers, Required: []signing.Rule{{Where: "require_signature", Signers: []string{"release"}}}}
	if by, warning, err := a.Signed(policy); by == nil || by.By != "release" || warning != "" || err != nil {
		t.Errorf("got %v, %q and %v", by, warning, err)
	}

	// Another manifest over the same files is another version.
	manifest, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, artifact.ManifestFile), []byte(strings.Replace(string(manifest), "first", "second and more", 1)), 0o644))
	a, err = artifact.Verify(t.Context(), dir)
	must(t, err)
	const changed = "manifest.json.sig: changed since they were signed: manifest.json"
	if _, err := a.Signature(signers); err == nil || err.Error() != changed {
		t.Errorf("got %v, want %s", err, changed)
	}
	if _, _, err := a.Signed(policy); err == nil || !strings.HasPrefix(err.Error(), changed+", and require_signature wants a signature by release") {
		t.Errorf("got %v, want a refusal", err)
	}
	// Where nobody asks for a signature a bad one is only told.
	if by, warning, err := a.Signed(signing.Policy{Trusted: signers}); by != nil || err != nil || warning != "its signature is ignored: "+changed {
		t.Errorf("got %v, %q and %v", by, warning, err)
	}
}

func TestWithoutASignatureNobodySigned(t *testing.T) {
	dir, _ := artifacttest.PackDoubler(t, "unsigned")
	bare := artifacttest.Folder(t, map[string][]byte{"model.onnx": artifacttest.Doubler().Bytes(), artifact.SignatureFile: nil})
	for _, at := range []string{dir, bare} {
		a, err := artifact.Verify(t.Context(), at)
		must(t, err)
		if _, err := a.Signature(nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want that there is none", err)
		}
		if by, warning, err := a.Signed(signing.Policy{}); by != nil || warning != "" || err != nil {
			t.Errorf("got %v, %q and %v", by, warning, err)
		}
	}
	link := filepath.Join(dir, artifact.SignatureFile)
	must(t, os.Symlink("/etc/hostname", link))
	a, err := artifact.Verify(t.Context(), dir)
	must(t, err)
	if _, err := a.Signature(nil); err == nil || strings.Contains(err.Error(), "/etc") || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want the link refused", err)
	}
}
