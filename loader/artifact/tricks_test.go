package artifact_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// Every trick is tried in every place, with a manifest and without one.
func TestExternalDataTricksAreRefused(t *testing.T) {
	tried := 0
	for _, trick := range artifacttest.Tricks() {
		for place, hide := range artifacttest.Places() {
			t.Run(trick.Name+" in "+place, func(t *testing.T) {
				for _, packed := range []bool{true, false} {
					dir := trick.Play(t, hide, packed)
					_, err := artifact.Verify(t.Context(), dir)
					if err == nil || !strings.Contains(err.Error(), trick.Want) {
						t.Errorf("got %v, want …%s…", err, trick.Want)
					}
					if err != nil && strings.Contains(err.Error(), filepath.Dir(dir)) {
						t.Errorf("%v names a place on the machine", err)
					}
					if _, _, err := (artifact.Reading{}).Pack(t.Context(), dir); err == nil {
						t.Error("it can be packed")
					}
				}
			})
			tried++
		}
	}
	if tried < 200 {
		t.Errorf("only %d tricks", tried)
	}
}

func TestATensorsDataIsAsLongAsTheTensor(t *testing.T) {
	for _, c := range []struct {
		name, want string
		tensor     []byte
	}{
		{"one number of four bytes", "", artifacttest.ExternalOf(1, nil, "w", "location", "w.bin")},
		{"eight bytes", "", artifacttest.ExternalOf(1, []uint64{2}, "w", "location", "w.bin", "length", "8")},
		{"a length of 0 is none", "", artifacttest.ExternalOf(1, []uint64{2, 1}, "w", "location", "w.bin", "length", "0")},
		{"packed shape", "", append(artifacttest.Message(nil, 1, []byte{2, 2}), artifacttest.ExternalOf(10, nil, "w", "location", "w.bin", "length", "8")...)},
		{"four bits each", "", artifacttest.ExternalOf(22, []uint64{15}, "w", "location", "w.bin", "length", "8")},
		{"nothing", "", artifacttest.ExternalOf(1, []uint64{0, 1 << 62}, "w", "location", "w.bin", "offset", "8")},
		{"a type of the future", "", artifacttest.ExternalOf(99, []uint64{2}, "w", "location", "w.bin", "length", "7")},
		{"larger than the file", "external data reaches to byte 12 of a file of 8", artifacttest.ExternalOf(1, []uint64{3}, "w", "location", "w.bin")},
		{"longer than the tensor", "length 8 for a tensor of 4 bytes", artifacttest.ExternalOf(1, []uint64{1}, "w", "location", "w.bin", "length", "8")},
		{"shorter than the tensor", "length 4 for a tensor of 8 bytes", artifacttest.ExternalOf(1, []uint64{2}, "w", "location", "w.bin", "length", "4")},
		{"a negative size", "more elements than can be counted", artifacttest.ExternalOf(1, []uint64{1<<64 - 1}, "w", "location", "w.bin")},
		{"too many", "more elements than can be counted", artifacttest.ExternalOf(1, []uint64{1 << 32, 1 << 31}, "w", "location", "w.bin")},
		{"too many bytes", "more elements than can be counted", artifacttest.ExternalOf(11, []uint64{1 << 58}, "w", "location", "w.bin")},
		{"texts", "a tensor of texts cannot lie outside the model", artifacttest.ExternalOf(8, []uint64{2}, "w", "location", "w.bin")},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := artifacttest.Doubler()
			m.Initializers = [][]byte{c.tensor}
			_, err := artifact.Verify(t.Context(), artifacttest.Folder(t, map[string][]byte{"model.onnx": m.Bytes(), "w.bin": make([]byte, 8)}))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWhatIsNoModelIsToldByItsLooks(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar")
	for want, body := range map[string][]byte{
		"it is a zip archive (or something kept in one, like a PyTorch checkpoint), and archives are never unpacked": []byte("PK\x03\x04" + strings.Repeat("x", 100)),
		"it is compressed by gzip, and archives are never unpacked":                                                  {0x1f, 0x8b, 8},
		"it is a tar archive, and archives are never unpacked":                                                       tar,
		"it is a pointer of Git LFS: fetch the file itself with git lfs pull":                                        []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
		"it is an HTML page, as a store may answer in place of a file":                                               []byte("<!DOCTYPE html><title>Sign in</title>"),
		"the file is empty":     nil,
		"byte 0: field number ": bytes.Repeat([]byte{0}, 100),
	} {
		_, err := artifact.Verify(t.Context(), artifacttest.Folder(t, map[string][]byte{"model.onnx": body}))
		if err == nil || !strings.HasPrefix(err.Error(), "model.onnx: not a readable ONNX model: "+want) {
			t.Errorf("got %v, want …%s", err, want)
		}
	}
	// As large as a bomb, and refused without reading on.
	bomb := filepath.Join(t.TempDir(), "bomb.onnx")
	must(t, os.WriteFile(bomb, []byte("PK\x03\x04"), 0o644))
	must(t, os.Truncate(bomb, 1<<40))
	if _, err := artifact.Verify(t.Context(), bomb); err == nil || !strings.Contains(err.Error(), "a zip archive") {
		t.Errorf("got %v", err)
	}
}

func TestAHundredThousandFilesAreRefused(t *testing.T) {
	m := artifacttest.DoublerManifest()
	files := artifacttest.List(map[string][]byte{artifact.ModelFile: artifacttest.Doubler().Bytes()})
	for i := range 100_000 {
		f := files[0]
		f.Path = fmt.Sprintf("data/%06d.bin", i)
		m.Files = append(m.Files, f)
	}
	body, err := artifact.Marshal(m)
	must(t, err)
	if _, err := artifact.Parse(body); err == nil || err.Error() != "manifest.json: files: 100000 files, more than the 10000 allowed" {
		t.Errorf("got %.200v", err)
	}

	dir, _ := artifacttest.PackDoubler(t, "")
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755))
	for i := range artifact.MaxFiles + 1 {
		must(t, os.WriteFile(filepath.Join(dir, "data", fmt.Sprint(i)), nil, 0o644))
	}
	a, err := artifact.Verify(t.Context(), dir)
	must(t, err)
	if len(a.Warnings) != 1 || !strings.HasPrefix(a.Warnings[0], "not listed in the manifest and ignored: data/0, ") || len(a.Warnings[0]) > 1000 {
		t.Errorf("got %.1000q", a.Warnings)
	}
	if _, _, err := (artifact.Reading{}).Pack(t.Context(), dir); err == nil || err.Error() != "more than the 10000 files allowed" {
		t.Errorf("got %v", err)
	}
}
