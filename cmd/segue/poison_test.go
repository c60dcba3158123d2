package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/ort"
)

// faulty is the engine of a child in which a model's own name says how it ends
// the process, as a fault in native code would.
type faulty struct{ runtime.Engine }

type faultySession struct {
	runtime.Session
	fault string
}

func (f faulty) Open(ctx context.Context, path string, opts runtime.Options) (runtime.Session, error) {
	session, err := f.Engine.Open(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	return faultySession{session, filepath.Base(filepath.Dir(path))}, nil
}

func (f faultySession) Run(ctx context.Context, inputs []runtime.Tensor, outputs []int) (runtime.Result, error) {
	switch f.fault {
	case "segfault":
		page, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return runtime.Result{}, err
		}
		*(*byte)(unsafe.Pointer(&page[0])) = 1
	case "abort":
		if err := syscall.Kill(os.Getpid(), syscall.SIGABRT); err != nil {
			return runtime.Result{}, err
		}
		time.Sleep(time.Minute)
	}
	return f.Session.Run(ctx, inputs, outputs)
}

// asProgram runs this test binary as segue where its arguments are those of
// one: a real gateway whose children have the faulty engine.
func asProgram() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case "serve":
		main()
	case "probe":
		engine := func() (runtime.Engine, error) {
			e, err := ort.Open(ort.Config{})
			return faulty{e}, err
		}
		os.Exit(probe.Main(engine, os.Stdin, os.NewFile(probe.ReportFD, "report")))
	}
}

// onnxNode writes a NodeProto.
func onnxNode(op string, inputs, outputs []string, attributes ...[]byte) []byte {
	var b []byte
	for _, name := range inputs {
		b = artifacttest.Message(b, 1, []byte(name))
	}
	for _, name := range outputs {
		b = artifacttest.Message(b, 2, []byte(name))
	}
	b = artifacttest.Message(b, 4, []byte(op))
	for _, a := range attributes {
		b = artifacttest.Message(b, 5, a)
	}
	return b
}

// onnxBody writes an attribute that holds a graph.
func onnxBody(name string, graph []byte) []byte {
	return artifacttest.Varint(artifacttest.Message(artifacttest.Message(nil, 1, []byte(name)), 6, graph), 20, 5)
}

// onnxConstant writes an initializer of the type, with its sizes and bytes.
func onnxConstant(name string, elemType uint64, dims []uint64, raw []byte) []byte {
	var b []byte
	for _, d := range dims {
		b = artifacttest.Varint(b, 1, d)
	}
	b = artifacttest.Varint(b, 2, elemType)
	return artifacttest.Message(artifacttest.Message(b, 8, []byte(name)), 9, raw)
}

const (
	onnxFloat, onnxInt64, onnxBool = 1, 7, 9
	onnxOpset                      = 17
)

// onnxModel writes a ModelProto from FP32 x [-1,2] to FP32 y of a shape.
func onnxModel(shape []int64, nodes, constants [][]byte) []byte {
	m := artifacttest.Model{
		Nodes: nodes, Initializers: constants,
		Inputs:  []artifacttest.Value{{Name: "x", ElemType: onnxFloat, Shape: []int64{-1, 2}}},
		Outputs: []artifacttest.Value{{Name: "y", ElemType: onnxFloat, Shape: shape}},
	}
	return artifacttest.Message(m.Bytes(), 8, artifacttest.Varint(nil, 2, onnxOpset))
}

func le64(n int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }

// onnxLoop is a Loop whose condition stays true; trips may be empty for no
// bound, and grow is the operator of its body on the one value carried.
func onnxLoop(trips, grow string, operands ...string) []byte {
	scalar := []int64{}
	body := artifacttest.Model{
		Nodes: [][]byte{
			onnxNode("Identity", []string{"go"}, []string{"go on"}),
			onnxNode(grow, operands, []string{"v out"}),
		},
		Inputs: []artifacttest.Value{
			{Name: "i", ElemType: onnxInt64, Shape: scalar}, {Name: "go", ElemType: onnxBool, Shape: scalar}, {Name: "v", ElemType: onnxFloat},
		},
		Outputs: []artifacttest.Value{{Name: "go on", ElemType: onnxBool, Shape: scalar}, {Name: "v out", ElemType: onnxFloat}},
	}
	if grow == "Concat" {
		axis := artifacttest.Varint(artifacttest.Varint(artifacttest.Message(nil, 1, []byte("axis")), 3, 0), 20, 2)
		body.Nodes[1] = onnxNode(grow, operands, []string{"v out"}, axis)
	}
	return onnxNode("Loop", []string{trips, "yes", "x"}, []string{"y"}, onnxBody("body", body.GraphBytes()))
}

// onnxNest is If in If in If, to a depth.
func onnxNest(depth int) []byte {
	node := onnxNode("Identity", []string{"x"}, []string{"y0"})
	other := artifacttest.Model{Nodes: [][]byte{node}, Outputs: []artifacttest.Value{{Name: "y0", ElemType: onnxFloat}}}
	for d := range depth {
		inner := artifacttest.Model{Nodes: [][]byte{node}, Outputs: []artifacttest.Value{{Name: fmt.Sprint("y", d), ElemType: onnxFloat}}}
		node = onnxNode("If", []string{"yes"}, []string{fmt.Sprint("y", d+1)},
			onnxBody("then_branch", inner.GraphBytes()), onnxBody("else_branch", other.GraphBytes()))
	}
	return node
}

// onnxRecursion is a model whose function calls itself.
func onnxRecursion() []byte {
	const domain = "own"
	call := artifacttest.Message(onnxNode("Again", []string{"x"}, []string{"y"}), 7, []byte(domain))
	function := artifacttest.Message(nil, 1, []byte("Again"))
	function = artifacttest.Message(function, 4, []byte("x"))
	function = artifacttest.Message(function, 5, []byte("y"))
	function = artifacttest.Message(function, 7, call)
	opset := artifacttest.Varint(artifacttest.Message(nil, 1, []byte(domain)), 2, 1)
	function = artifacttest.Message(artifacttest.Message(function, 9, opset), 10, []byte(domain))
	model := onnxModel(nil, [][]byte{call}, nil)
	return artifacttest.Message(artifacttest.Message(model, 8, opset), 25, function)
}

// poison is a model that is not what it seems, and how it is refused.
type poison struct {
	name     string
	model    []byte
	manifest *artifact.Manifest
	state    string
	reason   string // of a failed one, empty for one of exhausted; the warning of one that serves
}

// exhausted are the reasons of a model that takes all there is: which is reached
// first depends on the machine.
var exhausted = regexp.MustCompile("the memory limit of 16384 MiB was reached|of memory that are left|it may never end")

func poisons() []poison {
	yes := onnxConstant("yes", onnxBool, nil, []byte{1})
	rows := []int64{-1, 2}
	// The salt makes another artifact of the same model: a verdict is one on all
	// that is the same.
	identity := func(salt string) []byte {
		return onnxModel(rows, [][]byte{onnxNode("Identity", []string{"x"}, []string{"y"})}, [][]byte{artifacttest.Tensor("salt", []byte(salt + "...")[:4])})
	}
	nan := onnxModel(rows, [][]byte{
		onnxNode("Sub", []string{"x", "x"}, []string{"zero"}), onnxNode("Div", []string{"zero", "zero"}, []string{"y"}),
	}, nil)
	declared, golden := artifacttest.DoublerManifest(), artifacttest.DoublerManifest()
	declared.Signature.Inputs[0].Shape = []int64{-1, 3}
	declared.Goldens = nil
	return []poison{
		{"segfault", identity("s"), nil, "Failed", "the try crashed: SIGSEGV (segmentation violation"},
		{"abort", identity("a"), nil, "Failed", "the try crashed: SIGABRT (abort)"},
		{"endless", onnxModel(nil, [][]byte{onnxLoop("", "Identity", "v")}, [][]byte{yes}), nil, "Failed", "it may never end"},
		{"elements", onnxModel(nil, [][]byte{onnxNode("ConstantOfShape", []string{"n"}, []string{"y"})},
			[][]byte{onnxConstant("n", onnxInt64, []uint64{1}, le64(1<<34))}), nil, "Failed", "the memory limit of 16384 MiB was reached"},
		{"bomb", onnxModel(nil, [][]byte{onnxLoop("n", "Concat", slices.Repeat([]string{"v"}, 16)...)},
			[][]byte{yes, onnxConstant("n", onnxInt64, nil, le64(math.MaxInt32))}), nil, "Failed", ""},
		{"nested", onnxModel(nil, [][]byte{onnxNest(200), onnxNode("Identity", []string{"y200"}, []string{"y"})}, [][]byte{yes}), nil, "Failed", "nested"},
		{"recursive", onnxRecursion(), nil, "Failed", "recur"},
		{"truncated", identity("t")[:50], nil, "Failed", "not a readable ONNX model"},
		{"signature", identity("d"), declared, "Failed", "the signature differs: input \"x\""},
		{"golden", nan, golden, "Failed", `golden request "one and two": output "y"`},
		{"nan", nan, nil, "Ready", `output "y" holds NaN or infinity on synthetic inputs`},
	}
}

func TestPoisonedModelsHarmNobody(t *testing.T) {
	dir := copyQuickstart(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir, Binary: self})
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t)
	load := seguetest.StartLoad(gw.URL+"/v2/models/mozart/infer", body, 50, func(a seguetest.Answer) error {
		if a.Code != http.StatusOK {
			return fmt.Errorf("%d %s", a.Code, a.Body)
		}
		return nil
	})
	artifacts := t.TempDir()
	for _, p := range poisons() {
		t.Run(p.name, func(t *testing.T) {
			folder := filepath.Join(artifacts, p.name)
			files := map[string][]byte{artifact.ModelFile: p.model}
			packed := artifacttest.Folder(t, files)
			if p.manifest != nil {
				packed, _ = artifacttest.Pack(t, p.manifest, files)
			}
			if err := os.CopyFS(folder, os.DirFS(packed)); err != nil {
				t.Fatal(err)
			}
			document := fmt.Sprintf(`{"model": %q, "versions": {"1": {"uri": "file:%s"}}, "traffic": {"weights": {"1": 100}}}`, p.name, folder)
			began := time.Now()
			if err := os.WriteFile(filepath.Join(dir, p.name+".json"), []byte(document), 0o644); err != nil {
				t.Fatal(err)
			}
			seguetest.Eventually(t, 30*time.Second, p.state+": "+p.reason, func() error {
				v := gw.Status(t).Models[p.name].Versions["1"]
				said := v.Reason + strings.Join(v.Warnings, "; ")
				if v.State != p.state || !strings.Contains(said, p.reason) || p.reason == "" && !exhausted.MatchString(said) {
					return fmt.Errorf("%+v", v)
				}
				t.Logf("after %v: %s", time.Since(began).Round(10*time.Millisecond), said)
				return nil
			})
			// The child has what others leave it of the processors.
			if took, most := time.Since(began), time.Duration(counts(30, 10))*time.Second; took > most {
				t.Errorf("it took %v, want less than %v", took, most)
			}
		})
	}
	load.Stop(t)
	if a := gw.Infer(t, "mozart", body, nil); a.Code != http.StatusOK {
		t.Errorf("the gateway that was started answers %d %s", a.Code, a.Body)
	}
	t.Run("and stay in quarantine over a restart", func(t *testing.T) {
		before := gw.Status(t).Models["abort"].Versions["1"]
		if code := gw.Stop(t); code != 0 {
			t.Fatalf("the gateway ended with %d", code)
		}
		again := seguetest.Start(t, seguetest.Config{Source: "file:" + dir, Binary: self, StateDir: gw.StateDir})
		refused := func(want string) {
			t.Helper()
			seguetest.Eventually(t, 20*time.Second, want, func() error {
				if v := again.Status(t).Models["abort"].Versions["1"]; v.State != "Failed" || !strings.Contains(v.Reason, want) {
					return fmt.Errorf("%+v", v)
				}
				return nil
			})
		}
		if !strings.Contains(before.Reason, "(refusal 1 in a row; in quarantine until ") {
			t.Errorf("refused for %s", before.Reason)
		}
		refused(before.Reason) // until the same time
		path := filepath.Join(dir, "abort.json")
		document, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // which the end of the quarantine tells
		raised := strings.Replace(string(document), `"uri"`, `"attempt": 1, "uri"`, 1)
		if err := os.WriteFile(path, []byte(raised), 0o644); err != nil {
			t.Fatal(err)
		}
		seguetest.Eventually(t, 20*time.Second, "it is tried again", func() error {
			if v := again.Status(t).Models["abort"].Versions["1"]; v.Reason == before.Reason || v.State != "Failed" {
				return fmt.Errorf("%+v", v)
			}
			return nil
		})
		refused("(refusal 1 in a row; in quarantine until ")
	})
}
