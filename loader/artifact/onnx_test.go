package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

func read(t testing.TB, model []byte) (*artifact.Graph, error) {
	t.Helper()
	return artifact.ReadONNX(bytes.NewReader(model), int64(len(model)))
}

func TestSignatureNamesEveryServedType(t *testing.T) {
	elemTypes := map[runtime.DataType]uint64{
		runtime.BOOL: 9, runtime.UINT8: 2, runtime.UINT16: 4, runtime.UINT32: 12, runtime.UINT64: 13,
		runtime.INT8: 3, runtime.INT16: 5, runtime.INT32: 6, runtime.INT64: 7,
		runtime.FP16: 10, runtime.FP32: 1, runtime.FP64: 11, runtime.BF16: 16, runtime.BYTES: 8,
	}
	for _, datatype := range runtime.DataTypes() {
		model := artifacttest.Model{
			Inputs:  []artifacttest.Value{{Name: "in", ElemType: elemTypes[datatype], Shape: []int64{-1, 3}}},
			Outputs: []artifacttest.Value{{Name: "out", ElemType: elemTypes[datatype], Shape: []int64{}}},
		}
		g, err := read(t, model.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.Signature()
		if err != nil {
			t.Fatal(err)
		}
		want := &runtime.Signature{
			Inputs:  []runtime.TensorSpec{{Name: "in", Type: datatype, Shape: []int64{-1, 3}}},
			Outputs: []runtime.TensorSpec{{Name: "out", Type: datatype, Shape: []int64{}}},
		}
		if !got.Equal(want) {
			t.Errorf("%s: got %+v, want %+v", datatype, got, want)
		}
		if got.Outputs[0].Shape == nil {
			t.Errorf("%s: a scalar's shape is nil, want []", datatype)
		}
	}
}

func TestSignatureLeavesOutInitializersAndSubgraphs(t *testing.T) {
	value := func(name string) artifacttest.Value {
		return artifacttest.Value{Name: name, ElemType: 1, Shape: []int64{-1}}
	}
	inner := artifacttest.Model{Inputs: []artifacttest.Value{value("inner")}, Outputs: []artifacttest.Value{value("inner_out")}}
	model := artifacttest.Model{
		Inputs:             []artifacttest.Value{value("weight"), value("x"), value("sparse")},
		Outputs:            []artifacttest.Value{value("y")},
		Initializers:       [][]byte{artifacttest.Tensor("weight", make([]byte, 100_000))},
		SparseInitializers: [][]byte{artifacttest.Message(nil, 1, artifacttest.Tensor("sparse", nil))},
		Nodes:              [][]byte{artifacttest.Node(artifacttest.Attribute{Field: 6, Messages: [][]byte{inner.GraphBytes()}})},
	}
	g, err := read(t, model.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.Signature()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Inputs) != 1 || s.Inputs[0].Name != "x" || len(s.Outputs) != 1 || s.Outputs[0].Name != "y" {
		t.Errorf("got inputs %v and outputs %v, want x and y", s.Inputs, s.Outputs)
	}
}

func TestSignatureNamesWhatIsNotServed(t *testing.T) {
	value := func(elemType uint64, typeProto []byte) artifacttest.Model {
		return artifacttest.Model{
			Inputs:  []artifacttest.Value{{Name: "odd", ElemType: elemType, Shape: []int64{1}, Type: typeProto}},
			Outputs: []artifacttest.Value{{Name: "y", ElemType: 1, Shape: []int64{1}}},
		}
	}
	for _, c := range []struct {
		want  string
		model artifacttest.Model
	}{
		{`input "odd" is complex64, which is not served`, value(14, nil)},
		{`input "odd" is int4, which is not served`, value(22, nil)},
		{`input "odd" is of element type 999, which is not served`, value(999, nil)},
		{`input "odd" is a sequence, which is not served`, value(0, artifacttest.Message(nil, 4, nil))},
		{`input "odd" is a map, which is not served`, value(0, artifacttest.Message(nil, 5, nil))},
		{`input "odd" is an optional, which is not served`, value(0, artifacttest.Message(nil, 9, nil))},
		{`input "odd" is of no type, which is not served`, value(0, []byte{})},
	} {
		g, err := read(t, c.model.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = g.Signature(); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}

	open := value(1, nil)
	open.Inputs[0].Shape = nil
	g, err := read(t, open.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var undeclared *artifact.UndeclaredShapeError
	if _, err = g.Signature(); !errors.As(err, &undeclared) || undeclared.Names[0] != `input "odd"` {
		t.Errorf("got %v, want an undeclared shape of odd", err)
	}
}

func TestExternalDataIsFoundWhereverItIsNamed(t *testing.T) {
	external := func(file string) []byte {
		return artifacttest.External("w", "location", file, "offset", "4", "length", "8")
	}
	sparse := func(file string) []byte { return artifacttest.Message(nil, 2, external(file)) }
	node := func(field int32, messages ...[]byte) []byte {
		return artifacttest.Node(artifacttest.Attribute{Field: field, Messages: messages})
	}
	inner := artifacttest.Model{
		Initializers: [][]byte{external("subgraph")},
		Nodes:        [][]byte{node(5, external("subgraph_attribute"))},
	}
	model := artifacttest.Model{
		Outputs:            []artifacttest.Value{{Name: "y", ElemType: 1, Shape: []int64{1}}},
		Initializers:       [][]byte{external("./initializer"), artifacttest.Tensor("inside", []byte{1})},
		SparseInitializers: [][]byte{artifacttest.Message(nil, 1, external("sparse_values")), sparse("sparse_indices")},
		Nodes: [][]byte{
			node(5, external("attribute")), node(10, external("tensors_0"), external("tensors_1")),
			node(22, sparse("sparse_attribute")), node(23, sparse("sparse_list")),
			node(6, inner.GraphBytes()), node(11, (&artifacttest.Model{Initializers: [][]byte{external("graphs")}}).GraphBytes()),
		},
		Functions: [][]byte{append(artifacttest.Message(nil, 7, node(5, external("function_node"))),
			artifacttest.Message(nil, 11, artifacttest.Attribute{Field: 5, Messages: [][]byte{external("function_attribute")}}.Bytes())...)},
		Training: [][]byte{artifacttest.Message(nil, 2, (&artifacttest.Model{Initializers: [][]byte{external("training")}}).GraphBytes())},
	}
	g, err := read(t, model.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, e := range g.External {
		found[e.Location] = true
		if e.End != 12 || e.Tensor != "w" {
			t.Errorf("%s: got end %d of tensor %q, want 12 of w", e.Location, e.End, e.Tensor)
		}
	}
	for _, want := range []string{"initializer", "sparse_values", "sparse_indices", "attribute", "tensors_0", "tensors_1", "sparse_attribute",
		"sparse_list", "subgraph", "subgraph_attribute", "graphs", "function_node", "function_attribute", "training"} {
		if !found[want] {
			t.Errorf("%s was not found", want)
		}
		delete(found, want)
	}
	if len(found) > 0 {
		t.Errorf("found %v that nothing names", found)
	}
}

func TestExternalDataKeepsOneEntryAFile(t *testing.T) {
	model := artifacttest.Doubler()
	for i := range 5000 {
		model.Initializers = append(model.Initializers,
			artifacttest.External(fmt.Sprint("w", i), "location", "weights.bin", "offset", fmt.Sprint(i*8), "length", "8"))
	}
	g, err := read(t, model.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(g.External) != 1 || g.External[0].End != 40_000 || g.External[0].Tensor != "w0" {
		t.Errorf("got %+v, want one file of 40000 bytes named by w0", g.External)
	}
}

func TestUnsafeOrMalformedModelsAreRefused(t *testing.T) {
	external := func(entries ...string) []byte {
		m := artifacttest.Doubler()
		m.Initializers = [][]byte{artifacttest.External("w", entries...)}
		return m.Bytes()
	}
	attribute := func(messages ...[]byte) []byte {
		m := artifacttest.Doubler()
		m.Nodes = [][]byte{artifacttest.Node(artifacttest.Attribute{Field: 5, Messages: messages})}
		return m.Bytes()
	}
	nested := artifacttest.Model{}
	for range 60 {
		nested = artifacttest.Model{Nodes: [][]byte{artifacttest.Node(artifacttest.Attribute{Field: 6, Messages: [][]byte{nested.GraphBytes()}})}}
	}
	twoGraphs := artifacttest.Doubler()
	twoGraphs.Graphs = [][]byte{artifacttest.Doubler().GraphBytes()}
	whole := artifacttest.Doubler().Bytes()
	for _, c := range []struct {
		name, want string
		model      []byte
	}{
		{"parent", `tensor "w": location "../secret" is not a clean relative path`, external("location", "../secret")},
		{"inner parent", `location "a/../../secret" is not`, external("location", "a/../../secret")},
		{"absolute", `location "/etc/passwd" is not`, external("location", "/etc/passwd")},
		{"backslash", `is not a clean relative path`, external("location", `..\secret`)},
		{"address", `location "*/_ORT_MEM_ADDR_/*" is not`, external("location", "*/_ORT_MEM_ADDR_/*", "offset", "140000000000")},
		{"no location", `tensor "w": names no file`, external("offset", "0")},
		{"folder", `location "." is not`, external("location", ".")},
		{"negative offset", `offset "-8" is not a size`, external("location", "w", "offset", "-8")},
		{"odd length", `length "1e3" is not a size`, external("location", "w", "length", "1e3")},
		{"overflow", `overflow`, external("location", "w", "offset", "9223372036854775807", "length", "1")},
		{"entry twice", `"location" is given twice`, external("location", "w", "location", "../w")},
		{"attribute twice", `field 5 is there twice`, attribute(artifacttest.External("w", "location", "w"), artifacttest.External("w"))},
		{"two graphs", `the model holds two graphs`, twoGraphs.Bytes()},
		{"deep", `nested more than 100 deep`, (&artifacttest.Model{Nodes: nested.Nodes, Outputs: []artifacttest.Value{{Name: "y"}}}).Bytes()},
		{"empty", `the file is empty`, nil},
		{"no graph", `there is no graph in it`, artifacttest.Varint(nil, 1, 8)},
		{"text", `not a readable ONNX model`, []byte("this is no model at all")},
		{"truncated", `not a readable ONNX model`, whole[:len(whole)-3]},
		{"no outputs", `the graph has no outputs`, (&artifacttest.Model{}).Bytes()},
		{"group", `wire type 3 has no place`, []byte{0x0b, 0x0c}},
		{"long name", `a name of 5000 bytes`, (&artifacttest.Model{Outputs: []artifacttest.Value{{Name: strings.Repeat("n", 5000)}}}).Bytes()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := read(t, c.model); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

// zeros is a file of any size without memory.
type zeros struct {
	head []byte
	size int64
}

func (z zeros) ReadAt(b []byte, pos int64) (int, error) {
	clear(b)
	if pos < int64(len(z.head)) {
		copy(b, z.head[pos:])
	}
	return len(b), nil
}

func TestHugeWeightsAreSkippedNotRead(t *testing.T) {
	// One initializer of nearly 2 GiB in the graph, whose bytes all claim to
	// follow the head.
	const huge = 1<<31 - 100
	value := artifacttest.Message(nil, 12, artifacttest.Message(nil, 1, []byte("y")))
	initializer := appendLength([]byte{0x4a}, huge) // raw_data
	graph := append(value, appendLength([]byte{0x2a}, huge+uint64(len(initializer)))...)
	graph = append(graph, initializer...)
	head := append(appendLength([]byte{0x3a}, uint64(len(graph))+huge), graph...)
	src := zeros{head: head, size: int64(len(head)) + huge}
	allocated := testing.AllocsPerRun(3, func() {
		if _, err := artifact.ReadONNX(src, src.size); err != nil {
			t.Fatal(err)
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations to read past 2 GiB of weights", allocated)
	}
}

func appendLength(tag []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		tag = append(tag, byte(n)|0x80)
	}
	return append(tag, byte(n))
}

func TestReadErrorsAreNotHidden(t *testing.T) {
	broken := io.NewSectionReader(bytes.NewReader(artifacttest.Doubler().Bytes()), 0, 20)
	if _, err := artifact.ReadONNX(broken, 1000); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an unexpected end", err)
	}
}

func FuzzReadONNX(f *testing.F) {
	f.Add(artifacttest.Doubler().Bytes())
	seed := artifacttest.Doubler()
	seed.Initializers = [][]byte{artifacttest.External("w", "location", "weights.bin", "offset", "0", "length", "8"), artifacttest.Tensor("x", nil)}
	seed.Nodes = [][]byte{artifacttest.Node(artifacttest.Attribute{Field: 6, Messages: [][]byte{artifacttest.Doubler().GraphBytes()}})}
	seed.SparseInitializers = [][]byte{artifacttest.Message(nil, 1, artifacttest.Tensor("sparse", nil))}
	f.Add(seed.Bytes())
	for _, name := range runtimetest.Fixtures() {
		f.Add(runtimetest.ModelBytes(name))
	}
	f.Fuzz(func(t *testing.T, model []byte) {
		g, err := artifact.ReadONNX(bytes.NewReader(model), int64(len(model)))
		if err != nil {
			return
		}
		for _, e := range g.External {
			if !filepath.IsLocal(e.Location) || e.End < 0 {
				t.Errorf("external data %+v leads out of the folder", e)
			}
		}
		if s, err := g.Signature(); err == nil {
			for _, spec := range append(s.Inputs, s.Outputs...) {
				if spec.Type == runtime.Invalid || spec.Shape == nil {
					t.Errorf("signature holds %+v", spec)
				}
			}
		}
	})
}

func TestModelsOfTheReferenceWriterAreRead(t *testing.T) {
	for _, name := range runtimetest.Fixtures() {
		g, err := read(t, runtimetest.ModelBytes(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = g.Signature()
		told := err != nil || len(g.External) > 0
		if refused := strings.HasPrefix(name, "refused_"); refused != told {
			t.Errorf("%s: got error %v and external data %v, want something to refuse: %t", name, err, g.External, refused)
		}
	}
	g, err := read(t, runtimetest.ModelBytes("gather"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.Signature()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Inputs) == 0 || s.Inputs[0].Type != runtime.INT64 {
		t.Errorf("gather takes %v, want INT64 first", s.Inputs)
	}
}
