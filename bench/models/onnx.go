package models

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of onnx.proto that are written here, and of its types.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
const (
	modelIRVersion, modelProducer, modelGraph, modelOpset     = 1, 2, 7, 8
	opsetVersion                                              = 2
	graphNode, graphName, graphInitializer, graphIn, graphOut = 1, 2, 5, 11, 12
	nodeInput, nodeOutput, nodeName, nodeType, nodeAttribute  = 1, 2, 3, 4, 5
	attributeName, attributeText, attributeInts               = 1, 4, 8
	attributeType, attributeTypeText, attributeTypeInts       = 20, 3, 7
	tensorDims, tensorType, tensorName, tensorRaw             = 1, 2, 8, 9
	valueName, valueType                                      = 1, 2
	typeTensor, typeElement, typeShape, shapeDim              = 1, 1, 2, 1
	dimValue, dimParameter                                    = 1, 2
	elementFloat                                              = 1

	irVersion, opset = 8, 17
)

// message is a protocol buffer that grows by fields.
type message []byte

func (m *message) number(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) text(field protowire.Number, s string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), s)
}

func (m *message) bytes(field protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), b)
}

// tensor is float32 weights or values with their shape.
type tensor struct {
	name  string
	shape []int64
	data  []float32
}

// node is one operator; ints and texts are its attributes.
type node struct {
	op              string
	inputs, outputs []string
	ints            []ints
	texts           []text
}

type text struct{ name, value string }

type ints struct {
	name   string
	values []int64
}

// value describes an input or output of a graph, whose first dimension is the
// batch.
type value struct {
	name  string
	shape []int64
}

// encode writes a graph as an ONNX model.
func encode(name string, nodes []node, weights []tensor, in, out value) []byte {
	var graph message
	for _, n := range nodes {
		graph.bytes(graphNode, n.encode())
	}
	graph.text(graphName, name)
	for _, w := range weights {
		graph.bytes(graphInitializer, w.encode())
	}
	graph.bytes(graphIn, in.encode())
	graph.bytes(graphOut, out.encode())
	var version message
	version.number(opsetVersion, opset)
	var model message
	model.number(modelIRVersion, irVersion)
	model.text(modelProducer, "segue bench")
	model.bytes(modelGraph, graph)
	model.bytes(modelOpset, version)
	return model
}

func (n *node) encode() []byte {
	var m message
	for _, in := range n.inputs {
		m.text(nodeInput, in)
	}
	for _, out := range n.outputs {
		m.text(nodeOutput, out)
	}
	m.text(nodeName, n.outputs[0])
	m.text(nodeType, n.op)
	for _, attribute := range n.ints {
		var a message
		a.text(attributeName, attribute.name)
		for _, v := range attribute.values {
			a.number(attributeInts, v)
		}
		a.number(attributeType, attributeTypeInts)
		m.bytes(nodeAttribute, a)
	}
	for _, attribute := range n.texts {
		var a message
		a.text(attributeName, attribute.name)
		a.text(attributeText, attribute.value)
		a.number(attributeType, attributeTypeText)
		m.bytes(nodeAttribute, a)
	}
	return m
}

func (t *tensor) encode() []byte {
	var m message
	for _, d := range t.shape {
		m.number(tensorDims, d)
	}
	m.number(tensorType, elementFloat)
	m.text(tensorName, t.name)
	raw := make([]byte, 0, 4*len(t.data))
	for _, v := range t.data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	m.bytes(tensorRaw, raw)
	return m
}

func (v *value) encode() []byte {
	var batch, shape message
	batch.text(dimParameter, "batch")
	shape.bytes(shapeDim, batch)
	for _, d := range v.shape {
		var dim message
		dim.number(dimValue, d)
		shape.bytes(shapeDim, dim)
	}
	var dense, kind, m message
	dense.number(typeElement, elementFloat)
	dense.bytes(typeShape, shape)
	kind.bytes(typeTensor, dense)
	m.text(valueName, v.name)
	m.bytes(valueType, kind)
	return m
}
