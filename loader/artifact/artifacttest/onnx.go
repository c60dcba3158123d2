// Package artifacttest builds small artifacts for tests: ONNX models written
// field by field, so that a test can also write what no exporter would, and
// folders with a manifest.
//
// The models have nodes enough to be read, not to be run. It never needs an
// engine.
//
//	model := artifacttest.Model{Inputs: []artifacttest.Value{{Name: "x", ElemType: 1, Shape: []int64{-1, 2}}}}
//	dir := artifacttest.Folder(t, map[string][]byte{"model.onnx": model.Bytes()})
package artifacttest

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Model is an ONNX model to be written.
type Model struct {
	Inputs, Outputs []Value
	// Initializers are TensorProtos, see Tensor and External.
	Initializers [][]byte
	// SparseInitializers, Nodes, Functions and Training are messages of the
	// kinds of their names.
	SparseInitializers, Nodes, Functions, Training [][]byte
	// Graphs are further GraphProtos beside the first.
	Graphs [][]byte
}

// Value is an input or output. A nil Shape is left undeclared, a negative size
// is written as a symbol.
type Value struct {
	Name     string
	ElemType uint64
	Shape    []int64
	// Type replaces the TypeProto where it is not nil.
	Type []byte
}

// Bytes returns the model's protobuf encoding.
func (m *Model) Bytes() []byte {
	var b []byte
	b = Varint(b, 1, 8)               // ir_version
	b = Message(b, 7, m.GraphBytes()) // graph
	for _, g := range m.Graphs {
		b = Message(b, 7, g)
	}
	for _, t := range m.Training {
		b = Message(b, 20, t)
	}
	for _, f := range m.Functions {
		b = Message(b, 25, f)
	}
	return b
}

// GraphBytes returns the encoding of the model's graph alone, as a subgraph
// is written.
func (m *Model) GraphBytes() []byte {
	var b []byte
	for _, n := range m.Nodes {
		b = Message(b, 1, n)
	}
	b = Message(b, 2, []byte("graph"))
	for _, t := range m.Initializers {
		b = Message(b, 5, t)
	}
	for _, v := range m.Inputs {
		b = Message(b, 11, v.bytes())
	}
	for _, v := range m.Outputs {
		b = Message(b, 12, v.bytes())
	}
	for _, t := range m.SparseInitializers {
		b = Message(b, 15, t)
	}
	return b
}

func (v Value) bytes() []byte {
	b := Message(nil, 1, []byte(v.Name))
	if v.Type != nil {
		return Message(b, 2, v.Type)
	}
	tensor := Varint(nil, 1, v.ElemType)
	if v.Shape != nil {
		var shape []byte
		for _, d := range v.Shape {
			var dim []byte
			if d < 0 {
				dim = Message(nil, 2, []byte("batch"))
			} else {
				dim = Varint(nil, 1, uint64(d))
			}
			shape = Message(shape, 1, dim)
		}
		tensor = Message(tensor, 2, shape)
	}
	return Message(b, 2, Message(nil, 1, tensor))
}

// Tensor returns a TensorProto with its data inside.
func Tensor(name string, raw []byte) []byte {
	b := Varint(nil, 2, 1)
	b = Message(b, 8, []byte(name))
	return Message(b, 9, raw)
}

// External returns a TensorProto of bytes whose data lies in a file, with the
// entries given as key, value, key, value: location, offset, length. It has as
// many bytes as the length says, one where that is no number.
func External(name string, entries ...string) []byte {
	size := uint64(1)
	for i := 0; i+1 < len(entries); i += 2 {
		if n, err := strconv.ParseUint(entries[i+1], 10, 63); err == nil && entries[i] == "length" {
			size = n
		}
	}
	return ExternalOf(2, []uint64{size}, name, entries...)
}

// ExternalOf is External for a tensor of any element type and shape.
func ExternalOf(elemType uint64, shape []uint64, name string, entries ...string) []byte {
	var b []byte
	for _, size := range shape {
		b = Varint(b, 1, size)
	}
	b = Varint(b, 2, elemType)
	b = Message(b, 8, []byte(name))
	for i := 0; i+1 < len(entries); i += 2 {
		entry := Message(nil, 1, []byte(entries[i]))
		b = Message(b, 13, Message(entry, 2, []byte(entries[i+1])))
	}
	return Varint(b, 14, 1)
}

// Node returns a NodeProto with the attributes given, each a field number of
// AttributeProto and its message.
func Node(attributes ...Attribute) []byte {
	b := Message(nil, 4, []byte("Constant"))
	for _, a := range attributes {
		b = Message(b, 5, a.Bytes())
	}
	return b
}

// Attribute is one attribute of a node; Field is 5 for a tensor, 6 for a
// graph, 10 for tensors, 11 for graphs, 22 and 23 for sparse tensors.
type Attribute struct {
	Field    int32
	Messages [][]byte
}

// Bytes returns the AttributeProto.
func (a Attribute) Bytes() []byte {
	b := Message(nil, 1, []byte("value"))
	for _, m := range a.Messages {
		b = Message(b, a.Field, m)
	}
	return b
}

// Message appends a field of bytes: a message, string or bytes.
func Message(b []byte, field int32, body []byte) []byte {
	b = protowire.AppendTag(b, protowire.Number(field), protowire.BytesType)
	return protowire.AppendBytes(b, body)
}

// Varint appends a field of a number.
func Varint(b []byte, field int32, v uint64) []byte {
	b = protowire.AppendTag(b, protowire.Number(field), protowire.VarintType)
	return protowire.AppendVarint(b, v)
}
