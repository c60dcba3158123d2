package oip

import (
	"fmt"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

const benchElements = 65536 // 262 KB as FP32, 590 KB as JSON with six digits

func BenchmarkDecodeInfer(b *testing.B) {
	sig := signature(b, "x FP32 [-1,-1]", "->", "y FP32 [-1]")
	binary, headerLength := binaryRequest(b, benchElements)
	for _, c := range []struct {
		name   string
		body   []byte
		header int
	}{
		{"json/digits=6", floatRequest(benchElements, 6), -1},
		{"json/digits=17", floatRequest(benchElements, 17), -1},
		{"json/small", floatRequest(32, 6), -1},
		{"binary", binary, headerLength},
	} {
		b.Run(c.name, func(b *testing.B) {
			var r InferRequest
			m := &plainMemory{make([]byte, 4*benchElements)}
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := DecodeInfer(&r, sig, c.body, c.header, Limits{MaxTensorBytes: 1 << 30}, m); err != nil {
					b.Fatal(err)
				}
			}
			elements, _ := r.Inputs[0].Elements()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(elements), "ns/element")
		})
	}
}

// plainMemory is an Allocator that does nothing but hand out one block.
type plainMemory struct{ block []byte }

func (m *plainMemory) Input(_ int, _ []int64, size int) ([]byte, error) { return m.block[:size], nil }

func BenchmarkDecodePredict(b *testing.B) {
	sig := signature(b, "x FP32 [-1,256]", "->", "y FP32 [-1]")
	body := []byte(`{"instances":[`)
	for row := range 256 {
		body = append(comma(body, row > 0), '[')
		for i := range 256 {
			body = fmt.Appendf(comma(body, i > 0), "0.%06d", (row*7919+i*104729)%1000000)
		}
		body = append(body, ']')
	}
	body = append(body, "]}"...)
	var r PredictRequest
	m := &plainMemory{make([]byte, 4*benchElements)}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodePredict(&r, sig, body, Limits{}, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendInferResponse(b *testing.B) {
	data := make([]float32, 1000)
	for i := range data {
		data[i] = 1 / float32(i+3)
	}
	y := tensorOf("y", runtime.FP32, []int64{1, 1000}, floats32(data...)...)
	for _, binary := range []bool{false, true} {
		b.Run(fmt.Sprintf("binary=%v", binary), func(b *testing.B) {
			resp := InferResponse{Model: "m", Version: "1", Outputs: []runtime.Tensor{y}, Binary: []bool{binary}}
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf, _, _ = AppendInferResponse(buf[:0], &resp)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/element")
		})
	}
}

func BenchmarkFirstNonFinite(b *testing.B) {
	y := tensorOf("y", runtime.FP32, []int64{benchElements}, make([]byte, 4*benchElements)...)
	b.SetBytes(4 * benchElements)
	for b.Loop() {
		if FirstNonFinite(&y) != -1 {
			b.Fatal("zeros are finite")
		}
	}
}

func BenchmarkDecodeIntegers(b *testing.B) {
	sig := signature(b, "n INT64 [-1]", "->", "y FP32 [-1]")
	body := []byte(`{"inputs":[{"name":"n","datatype":"INT64","shape":[10000],"data":[`)
	for i := range 10000 {
		body = fmt.Appendf(comma(body, i > 0), " %d", i*7919%1000003)
	}
	body = append(body, "]}]}"...)
	var r InferRequest
	m := &plainMemory{make([]byte, 80000)}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := DecodeInfer(&r, sig, body, -1, Limits{}, m); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/element")
}
