package oip

import (
	"encoding/binary"
	"fmt"

	"github.com/segue-serving/segue/runtime"
)

// NonFinite says what becomes of NaN and infinities in JSON outputs.
type NonFinite uint8

const (
	// NonFiniteError refuses the answer with status 500, naming output and
	// index.
	NonFiniteError NonFinite = iota
	// NonFiniteNull writes null.
	NonFiniteNull
	// NonFiniteLiteral writes NaN, Infinity and -Infinity, which is not JSON
	// but what Python's json module and others read.
	NonFiniteLiteral
)

var nonFiniteNames = [...]string{"error", "null", "literal"}

// String returns the policy's name in documents.
func (p NonFinite) String() string {
	if int(p) >= len(nonFiniteNames) {
		return fmt.Sprintf("NonFinite(%d)", uint8(p))
	}
	return nonFiniteNames[p]
}

// ParseNonFinite returns the policy of a name, "error" for the empty one.
func ParseNonFinite(name string) (p NonFinite, ok bool) {
	for i, known := range nonFiniteNames {
		if name == known {
			return NonFinite(i), true
		}
	}
	return NonFiniteError, name == ""
}

// FirstNonFinite returns the flat index of the first element of a tensor that
// is NaN or an infinity, -1 where all are finite, as they are in every tensor
// of a type that is not a float's. It reads some 20 GB/s
// (BenchmarkFirstNonFinite).
func FirstNonFinite(t *runtime.Tensor) int {
	// A float is not finite where its exponent bits are all set. Adding the
	// exponent's lowest bit to the exponents of all floats in a word carries
	// into the (masked) sign bit of exactly those.
	var exponents, lowest, signs uint64
	switch t.Type {
	case runtime.FP32:
		exponents, lowest, signs = 0x7f800000_7f800000, 0x00800000_00800000, 0x80000000_80000000
	case runtime.FP64:
		exponents, lowest, signs = 0x7ff0000000000000, 0x0010000000000000, 0x8000000000000000
	case runtime.FP16:
		exponents, lowest, signs = 0x7c007c007c007c00, 0x0400040004000400, 0x8000800080008000
	case runtime.BF16:
		exponents, lowest, signs = 0x7f807f807f807f80, 0x0080008000800080, 0x8000800080008000
	default:
		return -1
	}
	data := t.Data
	at := 0
	for ; len(data)-at >= 32; at += 32 {
		words := data[at : at+32 : at+32]
		a := binary.LittleEndian.Uint64(words)&exponents + lowest
		b := binary.LittleEndian.Uint64(words[8:])&exponents + lowest
		c := binary.LittleEndian.Uint64(words[16:])&exponents + lowest
		d := binary.LittleEndian.Uint64(words[24:])&exponents + lowest
		if (a|b|c|d)&signs != 0 {
			break
		}
	}
	size := t.Type.Size()
	for ; len(data)-at >= size; at += size {
		var word [8]byte
		copy(word[:], data[at:at+size])
		if (binary.LittleEndian.Uint64(word[:])&exponents+lowest)&signs != 0 {
			return at / size
		}
	}
	return -1
}
