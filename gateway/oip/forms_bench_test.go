package oip

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// numberForms are the forms in which clients write the numbers of a tensor.
var numberForms = []struct {
	name, datatype, separator string
	append                    func(dst []byte, rng *rand.Rand) []byte
}{
	{"six digits", "FP32", ",", sixDigits},
	{"six digits, spaces", "FP32", ", ", sixDigits},
	{"six digits, signs", "FP32", ",", func(dst []byte, rng *rand.Rand) []byte {
		return strconv.AppendFloat(dst, rng.NormFloat64(), 'f', 6, 64)
	}},
	{"nine digits", "FP32", ",", func(dst []byte, rng *rand.Rand) []byte {
		return strconv.AppendFloat(dst, float64(rng.Float32()), 'g', -1, 32)
	}},
	{"17 digits", "FP32", ",", seventeenDigits},
	{"17 digits, spaces", "FP32", ", ", seventeenDigits},
	{"17 digits, signs", "FP32", ", ", func(dst []byte, rng *rand.Rand) []byte {
		return appendFloat(dst, float64(float32(rng.NormFloat64())), 64)
	}},
	{"zeros", "FP32", ", ", func(dst []byte, _ *rand.Rand) []byte { return append(dst, "0.0"...) }},
	{"pixels", "FP32", ",", func(dst []byte, rng *rand.Rand) []byte { return strconv.AppendInt(dst, int64(rng.IntN(256)), 10) }},
	{"percentages", "FP32", ",", func(dst []byte, rng *rand.Rand) []byte {
		return strconv.AppendFloat(dst, 100*rng.Float64(), 'f', 3, 64)
	}},
	{"exponents", "FP32", ",", func(dst []byte, rng *rand.Rand) []byte {
		return strconv.AppendFloat(dst, rng.NormFloat64()*1e-6, 'e', 7, 64)
	}},
	{"doubles", "FP64", ", ", func(dst []byte, rng *rand.Rand) []byte { return appendFloat(dst, rng.Float64(), 64) }},
	{"doubles of six digits", "FP64", ",", sixDigits},
	{"identifiers", "INT64", ", ", func(dst []byte, rng *rand.Rand) []byte { return strconv.AppendInt(dst, int64(rng.IntN(50257)), 10) }},
	{"nanoseconds", "INT64", ",", func(dst []byte, rng *rand.Rand) []byte {
		return strconv.AppendInt(dst, 1763866934000000000+rng.Int64N(math.MaxInt32), 10)
	}},
	{"bytes", "UINT8", ",", func(dst []byte, rng *rand.Rand) []byte { return strconv.AppendInt(dst, int64(rng.IntN(256)), 10) }},
}

func sixDigits(dst []byte, rng *rand.Rand) []byte {
	return strconv.AppendFloat(dst, rng.Float64(), 'f', 6, 64)
}

// seventeenDigits writes a float32 as Python's json.dumps does, as a double.
func seventeenDigits(dst []byte, rng *rand.Rand) []byte {
	return strconv.AppendFloat(dst, float64(rng.Float32()), 'g', -1, 64)
}

// BenchmarkNumberForms reads whole requests of each form.
func BenchmarkNumberForms(b *testing.B) {
	for _, form := range numberForms {
		b.Run(form.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(11, 12))
			body := fmt.Appendf(nil, `{"inputs":[{"name":"x","shape":[1,%d],"datatype":%q,"data":[`, benchElements, form.datatype)
			for i := range benchElements {
				if i > 0 {
					body = append(body, form.separator...)
				}
				body = form.append(body, rng)
			}
			body = append(body, "]}]}"...)
			sig := signature(b, "x "+form.datatype+" [-1,-1]", "->", "y FP32 [-1]")
			var r InferRequest
			m := &plainMemory{make([]byte, 8*benchElements)}
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if err := DecodeInfer(&r, sig, body, -1, Limits{}, m); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchElements, "ns/element")
		})
	}
}
