package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/drift/dataset"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/runtime"
)

// doubledRows is a CSV file with n rows of a Doubler's inputs, its answers as
// logits of two classes, and labels that the larger is right about.
func doubledRows(t *testing.T, n int, answers bool) string {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	b.WriteString("x[0],x[1]")
	if answers {
		b.WriteString(",y[0],y[1],label")
	}
	for range n {
		x, y := random.NormFloat64(), random.NormFloat64()
		fmt.Fprintf(&b, "\n%.6f,%.6f", x, y)
		if answers {
			label := "first"
			if y > x {
				label = "1"
			}
			fmt.Fprintf(&b, ",%.6f,%.6f,%s", 2*x, 2*y, label)
		}
	}
	return write(t, "rows.csv", []byte(b.String()+"\n"))
}

func packedDoubler(t *testing.T) string {
	t.Helper()
	dir := doubler(t, nil)
	does[packReport](t, "pack", dir, "--model", "doubler", "--labels", "y=first,second", "--golden", write(t, "golden.json", []byte(doubled)))
	return dir
}

func parsedProfile(t *testing.T, path string) *drift.Profile {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := drift.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAProfileIsMadeOfTrainingData(t *testing.T) {
	t.Parallel()
	dir := packedDoubler(t)
	out := filepath.Join(dir, artifact.ProfileFile)
	r := does[profileReport](t, "profile", doubledRows(t, 500, true), "--artifact", dir, "-o", out)
	var names []string
	for _, f := range r.Features {
		names = append(names, f.Name)
	}
	if r.Rows != 500 || r.Samples != 500 || !slices.Equal(names, []string{"x[0]", "x[1]", "y.class", "y.confidence"}) {
		t.Errorf("%+v", r)
	}
	p := parsedProfile(t, out)
	if err := p.Check(manifest(t, dir).Signature, "doubler", "1"); err != nil {
		t.Error(err)
	}
	right := uint64(0)
	for _, n := range p.Features[3].Series[0].Correct {
		right += n
	}
	if p.Source != "rows.csv" || right != 500 {
		t.Errorf("source %q, %d of 500 answers right", p.Source, right)
	}
	// It is a file of the artifact like any other.
	does[packReport](t, "pack", dir)
	if m := manifest(t, dir); !slices.ContainsFunc(m.Files, func(f artifact.File) bool { return f.Path == artifact.ProfileFile }) {
		t.Errorf("files %+v", m.Files)
	}
	// The same data and flags give the same bytes.
	again := filepath.Join(t.TempDir(), "again.json")
	does[profileReport](t, "profile", doubledRows(t, 500, true), "--artifact", dir, "-o", again)
	first, _ := os.ReadFile(out)
	if second, err := os.ReadFile(again); err != nil || string(first) != string(second) {
		t.Errorf("another profile: %v", err)
	}
}

func TestAGatewayGivesAnswersThatTheDataLacks(t *testing.T) {
	t.Parallel()
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		var request struct {
			Inputs []artifact.TensorData `json:"inputs"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/v2/models/doubler/infer" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error": "a key is needed"}`)
			return
		}
		request.Inputs[0].Name = "y"
		_ = json.NewEncoder(w).Encode(map[string]any{"outputs": request.Inputs})
	}))
	t.Cleanup(server.Close)
	dir, out, data := packedDoubler(t), filepath.Join(t.TempDir(), "profile.json"), doubledRows(t, 100, false)
	via := server.URL + "/v2/models/doubler"
	r := does[profileReport](t, "profile", data, "--artifact", dir, "-o", out, "--via", via, "--via-key-file", write(t, "key", []byte("secret\n")))
	if len(r.Features) != 4 || r.Features[3].Name != "y.confidence" || requests != 4 {
		t.Errorf("%d requests: %+v", requests, r)
	}
	if got := parsedProfile(t, out).Features[2].Series[0].Reference.Total(); got != 100 {
		t.Errorf("%d answers", got)
	}
	refuses(t, exitFailed, "a key is needed", "profile", data, "--artifact", dir, "-o", out, "--via", via)
	refuses(t, exitUsage, "want the model's URL", "profile", data, "--artifact", dir, "-o", out, "--via", "localhost")
	server.Close()
	refuses(t, exitUnreachable, "", "profile", data, "--artifact", dir, "-o", out, "--via", via)
}

func TestCalibrationComparesWindowsOfHeldOutRows(t *testing.T) {
	t.Parallel()
	dir, out := packedDoubler(t), filepath.Join(t.TempDir(), "profile.json")
	args := []string{"profile", doubledRows(t, 6000, true), "--artifact", dir, "-o", out, "--calibrate", "--window", "300", "--windows", "200"}
	r := does[profileReport](t, args...)
	c := r.Calibration
	if c == nil || c.Drawn.Windows != 200 || c.InOrder.Windows < 8 || c.Reference+c.HeldOut != 6000 || c.Configured != 1 {
		t.Fatalf("%+v", c)
	}
	if c.Drawn.Alarms > 4 || c.InOrder.Alarms > 2 {
		t.Errorf("%d and %d alarms, %.2f expected", c.Drawn.Alarms, c.InOrder.Alarms, c.Drawn.Expected)
	}
	text := newRun(configstest.NewStore())
	if code := text.code(t, args...); code != exitDone || !strings.Contains(text.stdout.String(), "false alarms a month: ") {
		t.Errorf("exit code %d\n%s", code, &text.stdout)
	}
	refuses(t, exitFailed, "are fewer than a window of 5000", append(args, "--window", "5000")...)
	refuses(t, exitFailed, "is not enough for a verdict: 150 more", append(args, "--window", "50")...)
	refuses(t, exitUsage, "over 0", append(args, "--windows", "0")...)
}

func TestWhatCannotBeProfiledSaysWhy(t *testing.T) {
	t.Parallel()
	dir, out := packedDoubler(t), filepath.Join(t.TempDir(), "profile.json")
	data := doubledRows(t, 10, true)
	refuses(t, exitUsage, "artifact", "profile", data)
	refuses(t, exitFailed, "no such file", "profile", data+"x", "--artifact", dir, "-o", out)
	refuses(t, exitFailed, "nowhere", "profile", data, "--artifact", filepath.Join(dir, "nowhere"), "-o", out)
	refuses(t, exitFailed, "the data has no rows", "profile", write(t, "none.csv", []byte("x[0],x[1]\n")), "--artifact", dir, "-o", out)
	refuses(t, exitFailed, `"x" has rows of 2 values, 1 of them have a column`, "profile", write(t, "half.csv", []byte("x[0]\n1\n")), "--artifact", dir, "-o", out)
	refuses(t, exitFailed, "line 2, byte 3", "profile", write(t, "bad.csv", []byte("x[0],x[1]\n1,b\n")), "--artifact", dir, "-o", out)
	refuses(t, exitFailed, "there is no column \"class\"", "profile", data, "--artifact", dir, "-o", out, "--label", "class")
	refuses(t, exitUsage, `unknown kind "nominal"`, "profile", data, "--artifact", dir, "-o", out, "--kind", "x=nominal")
	refuses(t, exitUsage, `neither input nor output "z"`, "profile", data, "--artifact", dir, "-o", out, "--kind", "z=numeric")
	refuses(t, exitUsage, "bins from 2", "profile", data, "--artifact", dir, "-o", out, "--bins", "1")
	if _, err := os.Stat(out); err == nil {
		t.Error("a profile was written all the same")
	}
	// A model alone has no manifest.
	bare := artifacttest.Folder(t, map[string][]byte{artifact.ModelFile: artifacttest.Doubler().Bytes()})
	does[profileReport](t, "profile", doubledRows(t, 10, false), "--artifact", bare, "-o", out)
}

func TestRowsOfAnswersThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	first := runtime.Tensor{Name: "y", Type: runtime.UINT8, Shape: []int64{1, 2}, Data: []byte{1, 2}}
	wider := runtime.Tensor{Name: "y", Type: runtime.UINT8, Shape: []int64{1, 3}, Data: []byte{1, 2, 3}}
	all, err := appendRows(nil, first)
	if err != nil {
		t.Fatal(err)
	}
	if all, err = appendRows(all, first); err != nil || all[0].Shape[0] != 2 || len(all[0].Data) != 4 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := appendRows(all, wider); err == nil {
		t.Error("rows of another shape are taken")
	}
}

func TestProgressIsShownOnATerminal(t *testing.T) {
	t.Parallel()
	r := newRun(configstest.NewStore())
	r.cli.interactive = true
	p := progress{cli: r.cli, next: r.now.Add(meterEvery)}
	p.rows(10, halfRead{})
	r.now = r.now.Add(2 * meterEvery)
	p.rows(20, halfRead{})
	p.end()
	if got := r.stderr.String(); got != "\rreading: 20 rows, 50 % \n" {
		t.Errorf("got %q", got)
	}
}

type halfRead struct{ dataset.Dataset }

func (halfRead) Progress() (done, total int64) { return 5, 10 }
