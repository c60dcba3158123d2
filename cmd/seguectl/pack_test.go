package main

import (
	"archive/zip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// doubler is a folder with nothing but a Doubler and what is given.
func doubler(t *testing.T, others map[string][]byte) string {
	t.Helper()
	files := map[string][]byte{artifact.ModelFile: artifacttest.Doubler().Bytes()}
	for name, body := range others {
		files[name] = body
	}
	return artifacttest.Folder(t, files)
}

// does runs a verb that must work, and returns its JSON.
func does[T any](t *testing.T, args ...string) T {
	t.Helper()
	r := newRun(configstest.NewStore())
	if code := r.code(t, append(args, "--json")...); code != exitDone {
		t.Fatalf("%q: exit code %d\n%s%s", args, code, &r.stdout, &r.stderr)
	}
	var value T
	if err := json.Unmarshal(r.stdout.Bytes(), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// refuses runs a verb that must end with a code and a text.
func refuses(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	r := newRun(configstest.NewStore())
	if got := r.code(t, args...); got != code || !strings.Contains(r.stderr.String(), want) {
		t.Errorf("%q: exit code %d, want %d\n%swant …%s…", args, got, code, &r.stderr, want)
	}
}

func manifest(t *testing.T, dir string) *artifact.Manifest {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	m, err := artifact.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func write(t *testing.T, name string, body []byte) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(at, body, 0o644); err != nil {
		t.Fatal(err)
	}
	return at
}

const doubled = `{"name": "two", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1, 2.5]]}],
	"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2, 5]}]}`

func TestPackingTwiceGivesOneDigest(t *testing.T) {
	t.Parallel()
	dir := doubler(t, map[string][]byte{"data/readme.txt": []byte("about"), ".hidden": nil})
	golden, labels := write(t, "golden.json", []byte(doubled)), write(t, "labels.txt", []byte("first, of two\nsecond\n"))
	first := does[packReport](t, "pack", dir, "--model", "doubler", "--golden", golden, "--labels", "y=@"+labels,
		"--git-commit", "abc", "--data-version", "v1", "--run-id", "7", "--command", "make", "--absolute", "0.5")
	if !first.Changed || first.Files != 2 || first.Goldens != 1 || len(first.Warnings) != 1 || first.Warnings[0] != ".hidden: hidden, and so left out" {
		t.Errorf("got %+v", first)
	}
	m := manifest(t, dir)
	if m.Model != "doubler" || m.Labels["y"][0] != "first, of two" || m.Goldens[0].Name != "two" || string(m.Goldens[0].Inputs[0].Data) != "[1, 2.5]" ||
		*m.Provenance != (artifact.Provenance{Commit: "abc", Data: "v1", Run: "7", Command: "make"}) || *m.Tolerance != (artifact.Tolerance{Absolute: 0.5, Relative: 1e-3}) {
		t.Errorf("got %+v", m)
	}
	again := does[packReport](t, "pack", dir)
	if again.Changed || again.Digest != first.Digest {
		t.Errorf("got %+v, want the digest %s", again, first.Digest)
	}
	verified := does[verifyReport](t, "verify", dir, "--digest", first.Digest)
	if !verified.Verified || verified.Digest != first.Digest || verified.SignedBy != "" || len(verified.Warnings) != 0 {
		t.Errorf("got %+v", verified)
	}
	// One flag changes one thing.
	does[packReport](t, "pack", dir, "--run-id", "8")
	if got := manifest(t, dir); got.Provenance.Run != "8" || got.Provenance.Commit != "abc" || len(got.Goldens) != 1 {
		t.Errorf("got %+v", got.Provenance)
	}
	// A file that has no say in the answers leaves them.
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("free"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := does[packReport](t, "pack", dir); r.Files != 3 || r.Goldens != 1 {
		t.Errorf("got %+v", r)
	}
	// Another model has other golden answers.
	other := artifacttest.Doubler()
	other.Initializers = [][]byte{artifacttest.Tensor("other", nil)}
	if err := os.WriteFile(filepath.Join(dir, artifact.ModelFile), other.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "model.onnx is not what the golden answers in the manifest are of: give --golden again", "pack", dir)
	if r := does[packReport](t, "pack", dir, "--golden", "none"); r.Goldens != 0 || len(r.Warnings) != 2 {
		t.Errorf("got %+v", r)
	}
}

// The quickstart's artifacts were packed in Python.
func TestPackingKeepsWhatThePipelinesPacked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../configs/examples/quickstart/models/mozart/1")); err != nil {
		t.Fatal(err)
	}
	if r := does[packReport](t, "pack", dir); r.Changed {
		t.Errorf("got another manifest: %+v", r)
	}
}

// npzOf writes arrays as numpy.savez does.
func npzOf(t *testing.T, descr string, shape string, data any, names ...string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "arrays.npz")
	file, err := os.Create(at)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	for _, name := range names {
		w, err := archive.Create(name + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape)
		header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
		fmt.Fprintf(w, "\x93NUMPY\x01\x00%c%c%s", len(header)&0xff, len(header)>>8, header)
		if err := binary.Write(w, binary.LittleEndian, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestGoldenRequestsAreReadFromArrays(t *testing.T) {
	t.Parallel()
	dir := doubler(t, nil)
	does[packReport](t, "pack", dir, "--model", "m", "--golden", "ones="+npzOf(t, "<f4", "(1, 2)", []float32{1, 1.5}, "x", "y"))
	g := manifest(t, dir).Goldens[0]
	if g.Name != "ones" || string(g.Inputs[0].Data) != "[1, 1.5]" || string(g.Outputs[0].Data) != "[1, 1.5]" || len(g.Inputs[0].Shape) != 2 {
		t.Errorf("got %+v", g)
	}
	for want, file := range map[string]string{
		`array "x" is there twice`:             npzOf(t, "<f4", "(1, 2)", []float32{1, 2}, "x", "x"),
		`no array is called after an input`:    npzOf(t, "<f4", "(1, 2)", []float32{1, 2}, "z"),
		`array "x"`:                            npzOf(t, "<f4", "(1, 3)", []float32{1, 2, 3}, "x"),
		`4 bytes of data, its header says 8`:   npzOf(t, "<f4", "(1, 2)", []float32{1}, "x"),
		`more than 256 rows: a golden request`: npzOf(t, "<f4", "(4096, 2)", make([]float32, 8192), "x"),
	} {
		refuses(t, exitFailed, want, "pack", dir, "--golden", file)
	}
	large := npzOf(t, "<f4", "(1, 2)", []float32{1, 2}, "x")
	if err := os.Truncate(large, maxGolden+1); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "67108865 bytes, more than the 67108864 allowed", "pack", dir, "--golden", large)
}

// gateway answers as the data API of a Doubler does.
func gateway(t *testing.T, key string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Inputs []artifact.TensorData `json:"inputs"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/v2/models/doubler/infer" || len(request.Inputs) != 1 {
			t.Errorf("asked for %s with %+v, %v", r.URL.Path, request, err)
		}
		if r.Header.Get("Authorization") != "Bearer "+key {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error": "a key is needed"}`)
			return
		}
		io.WriteString(w, `{"model_name": "doubler", "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2.0, 5]}]}`)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v2/models/doubler"
}

func TestAGatewayAnswersGoldenRequests(t *testing.T) {
	t.Parallel()
	dir := doubler(t, nil)
	golden := write(t, "two.json", []byte(strings.SplitN(doubled, ",\n", 2)[0]+"}"))
	via, key := gateway(t, "secret"), write(t, "key", []byte("secret\n"))
	refuses(t, exitFailed, "401 Unauthorized: a key is needed", "pack", dir, "--model", "m", "--golden", golden, "--via", via)
	refuses(t, exitUsage, "want the model's URL", "pack", dir, "--model", "m", "--golden", golden, "--via", "localhost:8000")
	refuses(t, exitUnreachable, "not reachable", "pack", dir, "--model", "m", "--golden", golden, "--via", "http://127.0.0.1:1/v2/models/m")
	does[packReport](t, "pack", dir, "--model", "m", "--golden", golden, "--via", via, "--via-key-file", key)
	if g := manifest(t, dir).Goldens[0]; g.Name != "two" || string(g.Outputs[0].Data) != "[2.0, 5]" {
		t.Errorf("got %+v", g)
	}
}

func TestWhatCannotBePackedSaysWhy(t *testing.T) {
	t.Parallel()
	dir := doubler(t, nil)
	refuses(t, exitUsage, "--model is needed", "pack", dir)
	refuses(t, exitUsage, "want OUTPUT=LABEL", "pack", dir, "--model", "m", "--labels", "y")
	refuses(t, exitUsage, "named twice", "pack", dir, "--model", "m", "--labels", "y=a,b", "--labels", "y=c,d")
	refuses(t, exitFailed, `labels["y"]: 1 labels for 2 classes`, "pack", dir, "--model", "m", "--labels", "y=a")
	golden := write(t, "two.json", []byte(doubled))
	refuses(t, exitUsage, `two golden requests are called "two"`, "pack", dir, "--model", "m", "--golden", golden, "--golden", golden)
	refuses(t, exitFailed, `input "x"`, "pack", dir, "--model", "m", "--golden", write(t, "bad.json", []byte(strings.Replace(doubled, "2.5", `"a"`, 1))))
	refuses(t, exitFailed, "neither .json nor .npz", "pack", dir, "--model", "m", "--golden", write(t, "golden.csv", nil))
	refuses(t, exitFailed, "no such file", "pack", filepath.Join(dir, "nothing"), "--model", "m")
	refuses(t, exitFailed, "put it into a folder of its own as model.onnx", "pack", filepath.Join(dir, artifact.ModelFile), "--model", "m")
	refuses(t, exitFailed, "no model.onnx is listed", "pack", t.TempDir(), "--model", "m")
	link := doubler(t, nil)
	if err := os.Symlink("/etc/hostname", filepath.Join(link, "notes.txt")); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "notes.txt: not a regular file", "pack", link, "--model", "m")
	refuses(t, exitFailed, "mend or remove it", "pack", doubler(t, map[string][]byte{artifact.ManifestFile: []byte("{")}))
	if _, err := os.Stat(filepath.Join(dir, artifact.ManifestFile)); err == nil {
		t.Error("a manifest was written all the same")
	}
}

func TestAMeterShowsWhatTakesLong(t *testing.T) {
	t.Parallel()
	r := newRun(configstest.NewStore())
	r.cli.interactive = true
	m := r.cli.meter("reading")
	m.add(1 << 20)
	r.now = r.now.Add(2 * meterEvery)
	m.add(1 << 30)
	m.end()
	if got := r.stderr.String(); got != "\rreading: 1.0 GiB \n" {
		t.Errorf("got %q", got)
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", math.MaxInt64: "8388608.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
