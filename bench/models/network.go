package models

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// network is layers after one another on an input of channels × height ×
// width, or on a vector, whose height and width are 1.
type network struct {
	name   string
	input  [3]int64
	flat   bool // the input's shape is [batch, channels]
	layers []layer
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
func newNetwork(name string, seed uint64, input [3]int64, convolutions, dense []int64) *network {
	n := &network{name: name, input: input, flat: len(convolutions) == 0}
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
		for r := range rows {
			for c := range columns {
				out[(o*rows+r)*columns+c] = float64(l.bias[o]) + l.window(values, o, r*stride-1, c*stride-1, height, width)
			}
		}
	}
	return out
}

// window is the sum over one kernel, whose corner lies at a row and column that
// may be outside: what is outside is 0.
func (l *layer) window(values []float64, o, row, column, height, width int64) (sum float64) {
	for i := range l.in {
		for y := range int64(kernel) {
			for x := range int64(kernel) {
				if r, c := row+y, column+x; r >= 0 && r < height && c >= 0 && c < width {
					sum += float64(values[(i*height+r)*width+c] * float64(l.weights[((o*l.in+i)*kernel+y)*kernel+x]))
				}
			}
		}
	}
	return sum
}
