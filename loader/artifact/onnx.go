package artifact

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/segue-serving/segue/runtime"
)

// Longest name of a tensor and longest place of external data.
const maxNameBytes = 4 << 10

// Graph is what can be told of an ONNX model without running it.
type Graph struct {
	inputs, outputs []value
	// External lists the files that the model makes an engine read, each once,
	// in the order of their first mention.
	External []ExternalData
}

// ExternalData is one file named by a model's tensors.
type ExternalData struct {
	// Location is relative to the model's folder.
	Location string
	// Tensor is the first tensor that names the file.
	Tensor string
	// End is the smallest size of the file at which every range that the
	// tensors name lies inside it.
	End int64
}

// value is a graph's input or output as declared.
type value struct {
	spec     runtime.TensorSpec
	unserved string // why Segue cannot serve it, empty where it can
	noShape  bool
}

// UndeclaredShapeError says that a graph leaves the shape of an input or
// output open, rank included, so that only an engine can tell it.
type UndeclaredShapeError struct{ Names []string }

// Error names the inputs and outputs.
func (e *UndeclaredShapeError) Error() string {
	return "the graph declares no shape for " + strings.Join(e.Names, ", ")
}

// Signature returns what the model takes and gives: its inputs but for those
// that an initializer fills, and its outputs. An element type that is not
// served is an error that names it; an undeclared shape is an
// *UndeclaredShapeError.
func (g *Graph) Signature() (*runtime.Signature, error) {
	var unserved, open []string
	specs := func(kind string, values []value) []runtime.TensorSpec {
		all := make([]runtime.TensorSpec, 0, len(values))
		for _, v := range values {
			if v.unserved != "" {
				unserved = append(unserved, fmt.Sprintf("%s %q is %s", kind, clip(v.spec.Name), v.unserved))
			}
			if v.noShape {
				open = append(open, fmt.Sprintf("%s %q", kind, clip(v.spec.Name)))
			}
			all = append(all, v.spec)
		}
		return all
	}
	s := &runtime.Signature{Inputs: specs("input", g.inputs), Outputs: specs("output", g.outputs)}
	if len(unserved) > 0 {
		return nil, fmt.Errorf("%s, which is not served", strings.Join(unserved, ", "))
	}
	if len(open) > 0 {
		return nil, &UndeclaredShapeError{Names: open}
	}
	return s, nil
}

// ReadONNX reads signature and external data from a model of size bytes. It
// reads neither weights nor external files, and keeps memory bounded whatever
// the bytes say.
func ReadONNX(src io.ReaderAt, size int64) (*Graph, error) {
	r := &onnxReader{wire: wire{src: src, size: size}, external: make(map[string]int)}
	var graph span
	hasGraph := false
	err := r.fields(span{0, size}, 0, func(f field) error {
		switch {
		case f.is(7, protowire.BytesType): // ModelProto.graph
			if hasGraph {
				return errors.New("the model holds two graphs")
			}
			hasGraph, graph = true, f.body
			return r.graph(f.body, 1, true)
		case f.is(20, protowire.BytesType): // ModelProto.training_info
			return r.training(f.body, 1)
		case f.is(25, protowire.BytesType): // ModelProto.functions
			return r.function(f.body, 1)
		}
		return nil
	})
	if err == nil && !hasGraph {
		err = errors.New("there is no graph in it")
	}
	if err == nil {
		err = r.dropInitializers(graph)
	}
	if err != nil {
		if is := lookalike(src, size); is != nil {
			err = is
		}
		return nil, fmt.Errorf("not a readable ONNX model: %w", err)
	}
	if len(r.found.outputs) == 0 {
		return nil, errors.New("not a readable ONNX model: the graph has no outputs")
	}
	return &r.found, nil
}

type onnxReader struct {
	wire
	found    Graph
	external map[string]int // position in found.External by location
}

// graph reads a GraphProto; only the model's own, not a subgraph's, inputs
// and outputs make the signature.
func (r *onnxReader) graph(m span, depth int, outermost bool) error {
	return r.fields(m, depth, func(f field) error {
		if f.typ != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 1: // node
			return r.node(f.body, depth+1)
		case 5: // initializer
			return r.tensor(f.body, depth+1)
		case 15: // sparse_initializer
			return r.sparse(f.body, depth+1)
		case 11, 12: // input, output
			if !outermost {
				return nil
			}
			v, err := r.value(f.body, depth+1)
			if err != nil {
				return err
			}
			if f.num == 11 {
				r.found.inputs = append(r.found.inputs, v)
			} else {
				r.found.outputs = append(r.found.outputs, v)
			}
		}
		return nil
	})
}

// dropInitializers removes the inputs that have a value in the model: no
// caller gives them. Models before IR version 4 list every weight as an input.
func (r *onnxReader) dropInitializers(graph span) error {
	filled := make(map[string]bool, len(r.found.inputs))
	for _, v := range r.found.inputs {
		filled[v.spec.Name] = false
	}
	if len(filled) == 0 {
		return nil
	}
	err := r.fields(graph, 1, func(f field) error {
		tensor := f.body
		if f.is(15, protowire.BytesType) {
			tensor = span{}
			if err := r.fields(f.body, 2, func(f field) error {
				if f.is(1, protowire.BytesType) { // SparseTensorProto.values
					tensor = f.body
				}
				return nil
			}); err != nil {
				return err
			}
		} else if !f.is(5, protowire.BytesType) {
			return nil
		}
		return r.fields(tensor, 2, func(f field) error {
			if !f.is(8, protowire.BytesType) || f.body.len() > maxNameBytes {
				return nil
			}
			// The name is compared and dropped, so it counts for nothing.
			kept := r.kept
			name, err := r.text(f.body, maxNameBytes)
			r.kept = kept
			if _, isInput := filled[name]; isInput {
				filled[name] = true
			}
			return err
		})
	})
	inputs := r.found.inputs[:0]
	for _, v := range r.found.inputs {
		if !filled[v.spec.Name] {
			inputs = append(inputs, v)
		}
	}
	r.found.inputs = inputs
	return err
}

// node reads what a NodeProto's attributes hold.
func (r *onnxReader) node(m span, depth int) error {
	return r.fields(m, depth, func(f field) error {
		if f.is(5, protowire.BytesType) {
			return r.attribute(f.body, depth+1)
		}
		return nil
	})
}

func (r *onnxReader) attribute(m span, depth int) error {
	var once singular
	return r.fields(m, depth, func(f field) error {
		if f.typ != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 5: // t
			return once.then(f, func() error { return r.tensor(f.body, depth+1) })
		case 6: // g
			return once.then(f, func() error { return r.graph(f.body, depth+1, false) })
		case 22: // sparse_tensor
			return once.then(f, func() error { return r.sparse(f.body, depth+1) })
		case 10: // tensors
			return r.tensor(f.body, depth+1)
		case 11: // graphs
			return r.graph(f.body, depth+1, false)
		case 23: // sparse_tensors
			return r.sparse(f.body, depth+1)
		}
		return nil
	})
}

func (r *onnxReader) function(m span, depth int) error {
	return r.fields(m, depth, func(f field) error {
		switch {
		case f.is(7, protowire.BytesType): // node
			return r.node(f.body, depth+1)
		case f.is(11, protowire.BytesType): // attribute_proto
			return r.attribute(f.body, depth+1)
		}
		return nil
	})
}

func (r *onnxReader) training(m span, depth int) error {
	var once singular
	return r.fields(m, depth, func(f field) error {
		if f.is(1, protowire.BytesType) || f.is(2, protowire.BytesType) { // initialization, algorithm
			return once.then(f, func() error { return r.graph(f.body, depth+1, false) })
		}
		return nil
	})
}

// singular refuses a second occurrence of a message field that is not
// repeated. Protobuf merges such occurrences, so a reader that looks at each
// by itself would see other external data than the engine does.
type singular struct{ seen map[protowire.Number]bool }

func (s *singular) then(f field, read func() error) error {
	if s.seen[f.num] {
		return fmt.Errorf("byte %d: field %d is there twice", f.body.pos, f.num)
	}
	if s.seen == nil {
		s.seen = make(map[protowire.Number]bool)
	}
	s.seen[f.num] = true
	return read()
}
