package models

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// network is layers after one another on an input of channels × height ×
// width, or on a vector, whose height and width are 1.
type network struct {
	name  string
	input [3]int64
	flat  bool // the input's shape is [batch, channels]
	// enlarged is how often every value of the input is repeated to the right
	// and below, 1 for not at all.
	enlarged int64
	layers   []layer
}

// layer is a convolution with a kernel of 3×3, a padding of 1 and a stride of
// 2, or, dense, a matrix. A dense layer takes the mean of each channel.
type layer struct {
	dense   bool
	in, out int64
	weights []float32 // [out, in, 3, 3] or [out, in]
	bias    []float32
}

const (
	kernel = 3
	stride = 2
)

// newNetwork draws the weights. They are as large as keeps the values of one
// layer as large as those of the last (He et al., 2015), and evenly spread: that
// takes no function whose last bits depend on the machine.
func newNetwork(name string, seed uint64, input [3]int64, enlarged int64, convolutions, dense []int64) *network {
	n := &network{name: name, input: input, flat: len(convolutions) == 0, enlarged: enlarged}
	random := rand.New(rand.NewPCG(seed, 0))
	channels := input[0]
	add := func(l layer, fan int64) {
		scale := math.Sqrt(6 / float64(fan))
		l.weights = make([]float32, l.out*fan)
		for i := range l.weights {
			l.weights[i] = float32((2*random.Float64() - 1) * scale)
		}
		l.bias = make([]float32, l.out)
		for i := range l.bias {
			l.bias[i] = float32((2*random.Float64() - 1) * .2)
		}
		n.layers = append(n.layers, l)
		channels = l.out
	}
	for _, out := range convolutions {
		add(layer{in: channels, out: out}, channels*kernel*kernel)
	}
	for _, out := range dense {
		add(layer{dense: true, in: channels, out: out}, channels)
	}
	return n
}

// inputShape is the shape without the batch.
func (n *network) inputShape() []int64 {
	if n.flat {
		return n.input[:1]
	}
	return n.input[:]
}

func (n *network) outputs() int64 { return n.layers[len(n.layers)-1].out }

// onnx writes the network as a model with one input and one output.
func (n *network) onnx() []byte {
	var nodes []node
	var weights []tensor
	at := "input"
	then := func(op, to string, ints []ints, more ...string) {
		nodes = append(nodes, node{op: op, inputs: append([]string{at}, more...), outputs: []string{to}, ints: ints})
		at = to
	}
	if n.enlarged > 1 {
		scales := []float32{1, 1, float32(n.enlarged), float32(n.enlarged)}
		weights = append(weights, tensor{"scales", []int64{int64(len(scales))}, scales})
		then("Resize", "enlarged", nil, "", "scales")
		nodes[0].texts = []text{{"mode", "nearest"}, {"nearest_mode", "floor"}, {"coordinate_transformation_mode", "asymmetric"}}
	}
	pooled := n.flat
	for i, l := range n.layers {
		w, b, to := fmt.Sprintf("weights%d", i), fmt.Sprintf("bias%d", i), fmt.Sprintf("layer%d", i)
		last := i == len(n.layers)-1
		if last {
			to = "output"
		}
		if l.dense {
			if !pooled {
				then("GlobalAveragePool", "means", nil)
				then("Flatten", "features", nil)
				pooled = true
			}
			// Gemm multiplies from the right: the matrix is written transposed.
			weights = append(weights, tensor{w, []int64{l.in, l.out}, transposed(&l)})
			then("Gemm", to, nil, w, b)
		} else {
			weights = append(weights, tensor{w, []int64{l.out, l.in, kernel, kernel}, l.weights})
			then("Conv", to, []ints{{"pads", []int64{1, 1, 1, 1}}, {"strides", []int64{stride, stride}}}, w, b)
		}
		weights = append(weights, tensor{b, []int64{l.out}, l.bias})
		if !last {
			then("Relu", to+"+", nil)
		}
	}
	return encode(n.name, nodes, weights, value{"input", n.inputShape()}, value{"output", []int64{n.outputs()}})
}

func transposed(l *layer) []float32 {
	t := make([]float32, len(l.weights))
	for o := range l.out {
		for i := range l.in {
			t[i*l.out+o] = l.weights[o*l.in+i]
		}
	}
	return t
}

// answer computes what the network must say, in double precision. Products are
// converted before they are added, so that no machine fuses the two and rounds
// once where another rounds twice.
func (n *network) answer(input []float32) []float32 {
	values := make([]float64, len(input))
	for i, v := range input {
		values[i] = float64(v)
	}
	height, width := n.input[1], n.input[2]
	if n.enlarged > 1 {
		values, height, width = enlarge(values, width, n.enlarged), height*n.enlarged, width*n.enlarged
	}
	for i := range n.layers {
		l := &n.layers[i]
		if l.dense {
			values, height, width = l.multiply(means(values, height*width)), 1, 1
		} else {
			values = l.convolve(values, height, width)
			height, width = (height+1)/stride, (width+1)/stride
		}
		if i < len(n.layers)-1 {
			for j := range values {
				values[j] = max(values[j], 0)
			}
		}
	}
	rounded := make([]float32, len(values))
	for i, v := range values {
		rounded[i] = float32(v)
	}
	return rounded
}

// enlarge repeats every value of rows of a width to the right and below.
func enlarge(values []float64, width, times int64) []float64 {
	var all []float64
	for row := range slices.Chunk(values, int(width)) {
		var wide []float64
		for _, v := range row {
			wide = append(wide, slices.Repeat([]float64{v}, int(times))...)
		}
		all = append(all, slices.Repeat(wide, int(times))...)
	}
	return all
}

// means are those of runs of size values.
func means(values []float64, size int64) []float64 {
	all := make([]float64, int64(len(values))/size)
	for i := range all {
		for _, v := range values[int64(i)*size : int64(i+1)*size] {
			all[i] += v
		}
		all[i] /= float64(size)
	}
	return all
}

func (l *layer) multiply(values []float64) []float64 {
	out := make([]float64, l.out)
	for o := range l.out {
		out[o] = float64(l.bias[o])
		for i, v := range values {
			out[o] += float64(v * float64(l.weights[o*l.in+int64(i)]))
		}
	}
	return out
}

func (l *layer) convolve(values []float64, height, width int64) []float64 {
	rows, columns := (height+1)/stride, (width+1)/stride
	out := make([]float64, l.out*rows*columns)
	for o := range l.out {
		plane := out[o*rows*columns : (o+1)*rows*columns]
		for i := range plane {
			plane[i] = float64(l.bias[o])
		}
		for i := range l.in {
			weights := l.weights[(o*l.in+i)*kernel*kernel:][:kernel*kernel]
			for r := range rows {
				for y := range int64(kernel) {
					// The padding around the input is 0 and adds nothing.
					if from := r*stride + y - 1; from >= 0 && from < height {
						addRow(plane[r*columns:][:columns], values[(i*height+from)*width:][:width], weights[y*kernel:][:kernel])
					}
				}
			}
		}
	}
	return out
}

// addRow adds one row of the input, weighed by one row of a kernel.
func addRow(out, in []float64, weights []float32) {
	for x, weight := range weights {
		w := float64(weight)
		for c := range out {
			if at := c*stride + x - 1; at >= 0 && at < len(in) {
				out[c] += float64(w * in[at])
			}
		}
	}
}
