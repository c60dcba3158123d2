package oip

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// document is a request as encoding/json reads it.
type document struct {
	ID     string
	Inputs []struct {
		Name  string
		Shape []int64
		Data  any
	}
}

// flatten lists the leaves of nested lists.
func flatten(value any) (leaves []any) {
	list, ok := value.([]any)
	if !ok {
		return []any{value}
	}
	for _, element := range list {
		leaves = append(leaves, flatten(element)...)
	}
	return leaves
}

// jsonWriter writes valid JSON with random white space, order and escapes.
type jsonWriter struct {
	rng *rand.Rand
	buf bytes.Buffer
}

func (w *jsonWriter) space() {
	for w.rng.IntN(4) == 0 {
		w.buf.WriteByte(" \n\t\r"[w.rng.IntN(4)])
	}
}

func (w *jsonWriter) token(text string) {
	w.space()
	w.buf.WriteString(text)
	w.space()
}

func (w *jsonWriter) text(value string) {
	w.space()
	w.buf.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\' || r < 0x20 || w.rng.IntN(5) == 0:
			if r > 0xffff {
				r -= 0x10000
				fmt.Fprintf(&w.buf, `\u%04x`, 0xd800+r>>10)
				r = 0xdc00 + r&0x3ff
			}
			fmt.Fprintf(&w.buf, `\u%04X`, r)
		default:
			w.buf.WriteRune(r)
		}
	}
	w.buf.WriteByte('"')
	w.space()
}

func (w *jsonWriter) members(members ...func()) {
	w.rng.Shuffle(len(members), func(i, k int) { members[i], members[k] = members[k], members[i] })
	w.token("{")
	for i, member := range members {
		if i > 0 {
			w.token(",")
		}
		member()
	}
	w.token("}")
}

func (w *jsonWriter) member(key string, value func()) func() {
	return func() {
		w.text(key)
		w.token(":")
		value()
	}
}

// noise is a value that nobody reads.
func (w *jsonWriter) noise(depth int) {
	switch n := w.rng.IntN(7); {
	case n == 0 && depth > 0:
		w.members(w.member("a", func() { w.noise(depth - 1) }), w.member("b", func() { w.noise(depth - 1) }))
	case n == 1 && depth > 0:
		w.token("[")
		w.noise(depth - 1)
		w.token(",")
		w.noise(depth - 1)
		w.token("]")
	case n == 2:
		w.text(randomText(w.rng))
	case n == 3:
		w.token("null")
	case n == 4:
		w.token("true")
	default:
		w.token(randomElement(w.rng, runtime.FP64))
	}
}

func randomText(rng *rand.Rand) string {
	var text strings.Builder
	for range rng.IntN(20) {
		text.WriteRune([]rune{'a', '"', '\\', '\n', 0, 'ä', '€', '🎵', ' ', '/', '[', '}', rune('a' + rng.IntN(26))}[rng.IntN(13)])
	}
	return text.String()
}

// randomElement writes one element of a type other than BYTES.
func randomElement(rng *rand.Rand, kind runtime.DataType) string {
	switch kind {
	case runtime.BOOL:
		return strconv.FormatBool(rng.IntN(2) == 0)
	case runtime.FP16:
		return strconv.FormatFloat(rng.NormFloat64()*100, 'g', -1, 64)
	case runtime.FP32, runtime.FP64:
		for {
			text := randomNumber(rng)
			if value, err := strconv.ParseFloat(text, 32); err == nil && !math.IsInf(value, 0) && !math.IsNaN(value) {
				return text
			}
		}
	}
	bits := rng.Uint64() >> rng.IntN(64)
	tensor := tensorOf("", kind, nil, binary.LittleEndian.AppendUint64(nil, bits)...)
	return string(appendInteger(nil, kind, tensor.Data, 0))
}

func (w *jsonWriter) data(kind runtime.DataType, shape []int64) {
	if len(shape) == 0 {
		if kind == runtime.BYTES {
			w.text(randomText(w.rng))
		} else {
			w.token(randomElement(w.rng, kind))
		}
		return
	}
	w.token("[")
	for i := range shape[0] {
		if i > 0 {
			w.token(",")
		}
		w.data(kind, shape[1:])
	}
	w.token("]")
}

// TestDecoderAgreesWithEncodingJSON writes random valid requests and compares
// what the decoder and the standard library read in them.
func TestDecoderAgreesWithEncodingJSON(t *testing.T) {
	count := 3000
	if testing.Short() {
		count = 300
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 2))
	kinds := []runtime.DataType{runtime.BOOL, runtime.UINT8, runtime.UINT16, runtime.UINT32, runtime.UINT64, runtime.INT8,
		runtime.INT16, runtime.INT32, runtime.INT64, runtime.FP16, runtime.FP32, runtime.FP64, runtime.BYTES}
	var r InferRequest
	m := &memory{t: t}
	for range count {
		w := jsonWriter{rng: rng}
		var sig runtime.Signature
		var inputs []func()
		for range rng.IntN(4) {
			spec := runtime.TensorSpec{Name: fmt.Sprintf("%d%s", len(sig.Inputs), randomText(rng)), Type: kinds[rng.IntN(len(kinds))]}
			var shape []int64
			for range rng.IntN(4) {
				shape = append(shape, int64(rng.IntN(5)))
				spec.Shape = append(spec.Shape, runtime.Dynamic)
			}
			sig.Inputs = append(sig.Inputs, spec)
			inputs = append(inputs, func() {
				w.members(
					w.member("name", func() { w.text(spec.Name) }),
					w.member("datatype", func() { w.text(spec.Type.String()) }),
					w.member("shape", func() { w.shape(shape) }),
					w.member("noise", func() { w.noise(3) }),
					w.member("data", func() {
						if elements, _ := runtime.Elements(shape); rng.IntN(2) == 0 && len(shape) > 0 {
							w.data(spec.Type, []int64{elements}) // flat
						} else {
							w.data(spec.Type, shape)
						}
					}))
			})
		}
		id := randomText(rng)
		rng.Shuffle(len(inputs), func(i, k int) { inputs[i], inputs[k] = inputs[k], inputs[i] })
		w.members(
			w.member("id", func() { w.text(id) }),
			w.member("noise", func() { w.noise(4) }),
			w.member("inputs", func() {
				w.token("[")
				for i, input := range inputs {
					if i > 0 {
						w.token(",")
					}
					input()
				}
				w.token("]")
			}))
		body := w.buf.Bytes()
		if err := DecodeInfer(&r, &sig, body, -1, Limits{}, m); err != nil {
			t.Fatalf("seed %d: %v in %s", seed, err, body)
		}
		var want document
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("seed %d: wrote bad JSON: %v in %s", seed, err, body)
		}
		if r.ID != want.ID {
			t.Fatalf("seed %d: id %q, want %q", seed, r.ID, want.ID)
		}
		for _, input := range want.Inputs {
			got := r.Inputs[sig.Input(input.Name)]
			leaves := flatten(input.Data)
			for i, leaf := range leaves {
				if !sameElement(&got, i, leaf) {
					t.Fatalf("seed %d: input %q element %d is not %v in %s", seed, input.Name, i, leaf, body)
				}
			}
			if elements, _ := got.Elements(); int(elements) != len(leaves) || runtime.FormatShape(got.Shape) != runtime.FormatShape(input.Shape) {
				t.Fatalf("seed %d: input %q has shape %v and %d elements in %s", seed, input.Name, got.Shape, len(leaves), body)
			}
		}
	}
}

// shape writes a list of sizes.
func (w *jsonWriter) shape(shape []int64) {
	w.token("[")
	for i, size := range shape {
		if i > 0 {
			w.token(",")
		}
		w.token(strconv.FormatInt(size, 10))
	}
	w.token("]")
}

func sameElement(tensor *runtime.Tensor, i int, leaf any) bool {
	number := fmt.Sprint(leaf)
	switch tensor.Type {
	case runtime.BYTES:
		return string(tensor.Strings[i]) == leaf.(string)
	case runtime.BOOL:
		return (tensor.Data[i] == 1) == leaf.(bool)
	case runtime.FP64:
		want, err := strconv.ParseFloat(number, 64)
		return err == nil && binary.LittleEndian.Uint64(tensor.Data[8*i:]) == math.Float64bits(want)
	case runtime.FP32:
		want, err := strconv.ParseFloat(number, 32)
		return err == nil && binary.LittleEndian.Uint32(tensor.Data[4*i:]) == math.Float32bits(float32(want))
	case runtime.FP16:
		want, ok := halfByDistance(number)
		return ok && binary.LittleEndian.Uint16(tensor.Data[2*i:]) == want
	}
	return string(appendInteger(nil, tensor.Type, tensor.Data, i)) == number
}
