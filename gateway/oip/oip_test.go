package oip

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

// memory is an Allocator on the heap that remembers what was asked of it.
type memory struct {
	t     testing.TB
	asked int         // bytes in all
	taken map[int]int // how often each input was asked for
	keep  [][]byte    // reused where large enough, as a pool would
	fail  error
}

func (m *memory) Input(i int, shape []int64, size int) ([]byte, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	m.asked += size
	if m.taken != nil {
		if m.taken[i]++; m.taken[i] > 1 {
			m.t.Errorf("input %d allocated twice", i)
		}
	}
	for len(m.keep) <= i {
		m.keep = append(m.keep, nil)
	}
	if cap(m.keep[i]) < size {
		block := make([]byte, size+runtime.Alignment)
		skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(block)))) & (runtime.Alignment - 1)
		m.keep[i] = block[skip : skip+size]
	}
	data := m.keep[i][:size]
	for k := range data {
		data[k] = 0xa5 // what a decoder leaves unwritten must show
	}
	return data, nil
}

func newMemory(t testing.TB) *memory { return &memory{t: t, taken: map[int]int{}} }

// signature reads specs such as `x FP32 [-1,3]`; those behind "->" are outputs.
func signature(t testing.TB, specs ...string) *runtime.Signature {
	t.Helper()
	sig := &runtime.Signature{}
	to := &sig.Inputs
	for _, spec := range specs {
		if spec == "->" {
			to = &sig.Outputs
			continue
		}
		fields := strings.Fields(spec)
		kind, ok := runtime.ParseDataType(fields[1])
		var shape []int64
		if err := json.Unmarshal([]byte(fields[2]), &shape); err != nil || !ok {
			t.Fatalf("bad spec %q", spec)
		}
		*to = append(*to, runtime.TensorSpec{Name: fields[0], Type: kind, Shape: shape})
	}
	return sig
}

// wantRefusal fails unless err is an *Error of this status and message.
func wantRefusal(t *testing.T, err error, status int, message string) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want a refusal %d %q", err, status, message)
	}
	if refusal.Status != status || refusal.Message != message {
		t.Errorf("refused with %d %q,\nwant %d %q", refusal.Status, refusal.Message, status, message)
	}
}
