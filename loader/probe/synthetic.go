package probe

import (
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

const (
	// Largest batch of synthetic inputs in bytes; larger ones are left out.
	maxSyntheticBytes = 256 << 20
	// How long the synthetic runs may take together. They only report, and
	// they hold up a version that is otherwise fit to serve.
	syntheticTime = 5 * time.Second
)

// synthetic runs the batch sizes to come: the rows of a golden request again
// and again where there is one, which also shows whether answers depend on
// the batch they are given in, else zeros. Only a run over its limit, of
// time or memory, is an error.
func (t *trial) synthetic(req Request, report *Report) error {
	warn := func(format string, args ...any) {
		report.Warnings = append(report.Warnings, fmt.Sprintf(format, args...))
	}
	rows, want := t.rows(req.Manifest)
	if rows == nil {
		rows = t.zeros()
	}
	began := time.Now()
	nonfinite := false
	for _, n := range batchSizes(t.signature, req.MaxBatch) {
		if time.Since(began) > syntheticTime || t.ctx.Err() != nil {
			return nil
		}
		inputs := rows
		var err error
		if t.signature.Batches() {
			inputs, err = tile(rows, n)
		}
		if err == nil {
			err = complete(inputs)
		}
		if err != nil {
			warn("no try was made with a batch of %d: %v", n, err)
			return nil
		}
		count := int64(0)
		took, err := t.run(inputs, func(got []runtime.Tensor) error {
			for i := range got {
				more := nonfiniteElements(&got[i])
				if count += more; more > 0 && !nonfinite {
					nonfinite = true
					warn("output %q holds NaN or infinity on synthetic inputs", got[i].Name)
				}
			}
			if want == nil || n == 1 {
				return nil
			}
			expected, err := tile(want, n)
			if err != nil {
				return err
			}
			if err := artifact.Compare(got, expected, req.Manifest.Tolerances()); err != nil {
				warn("answers change in a batch of %d: %v", n, err)
				want = nil // once is enough
			}
			return nil
		})
		if errors.Is(err, errRunLimit) {
			return fmt.Errorf("a try with synthetic inputs at a batch of %d: %w", n, err)
		}
		if err != nil && outOfMemory(err.Error()) {
			return fmt.Errorf("a try with synthetic inputs at a batch of %d: %w", n, err)
		}
		if err != nil {
			warn("a try with synthetic inputs failed at a batch of %d: %v", n, err)
			return nil
		}
		report.Runs = append(report.Runs, Run{Batch: n, Time: took, Nonfinite: count})
	}
	return nil
}

// batchSizes returns the sizes to try: powers of two and the largest.
func batchSizes(s *runtime.Signature, largest int) []int {
	if largest <= 1 || !s.Batches() {
		return []int{1}
	}
	var sizes []int
	for n := 1; n < largest; n *= 2 {
		sizes = append(sizes, n)
	}
	return append(sizes, largest)
}

// rows returns the inputs and answers of the first golden request that is
// made of rows, nil where there is none. Answers are nil where the first
// dimensions do not agree.
func (t *trial) rows(m *artifact.Manifest) (inputs, answers []runtime.Tensor) {
	if !t.signature.Batches() {
		return nil, nil
	}
	for _, g := range m.Goldens {
		inputs, err := decode(g.Inputs)
		n := sameRows(inputs)
		if err != nil || n == 0 {
			continue
		}
		answers, err := decode(g.Outputs)
		if err != nil || sameRows(answers) != n {
			return inputs, nil
		}
		return inputs, answers
	}
	return nil, nil
}

// sameRows returns the size of the first dimension that all tensors have, 0
// where they do not have the same.
func sameRows(tensors []runtime.Tensor) int64 {
	rows := int64(0)
	for i, t := range tensors {
		if len(t.Shape) == 0 || i > 0 && t.Shape[0] != rows {
			return 0
		}
		rows = t.Shape[0]
	}
	return rows
}

// zeros returns one row of zeros and empty strings for each input, with a size
// of 1 wherever it is known only from a request.
func (t *trial) zeros() []runtime.Tensor {
	tensors := make([]runtime.Tensor, len(t.signature.Inputs))
	for i, spec := range t.signature.Inputs {
		shape := slices.Clone(spec.Shape)
		for d, size := range shape {
			if size == runtime.Dynamic {
				shape[d] = 1
			}
		}
		tensors[i] = runtime.Tensor{Name: spec.Name, Type: spec.Type, Shape: shape}
		n, err := runtime.Elements(shape)
		if err != nil || n > maxSyntheticBytes/8 {
			continue // complete says so
		}
		if spec.Type == runtime.BYTES {
			tensors[i].Strings = make([][]byte, n)
		} else {
			tensors[i].Data = make([]byte, n*int64(spec.Type.Size()))
		}
	}
	return tensors
}

// complete says which tensor was too large to be made.
func complete(tensors []runtime.Tensor) error {
	for _, t := range tensors {
		elements, err := t.Elements()
		if err != nil {
			return fmt.Errorf("%q: %w", t.Name, err)
		}
		if int64(max(len(t.Data), len(t.Strings))) < elements {
			return fmt.Errorf("%q takes more than the %d bytes allowed", t.Name, maxSyntheticBytes)
		}
	}
	return nil
}

// tile returns the tensors with n rows, cycling through the rows that they
// have. A tensor that was too large to be made stays without data.
func tile(tensors []runtime.Tensor, n int) ([]runtime.Tensor, error) {
	tiled := make([]runtime.Tensor, len(tensors))
	total := int64(0)
	for i, t := range tensors {
		tiled[i] = t
		tiled[i].Shape = slices.Clone(t.Shape)
		tiled[i].Shape[0] = int64(n)
		have, width := t.Shape[0], int64(t.Type.Size())
		if complete(tensors[i:i+1]) != nil || have == int64(n) {
			continue
		}
		elements, err := t.Elements()
		if err != nil {
			return nil, err
		}
		perRow := elements / have
		if total += perRow * int64(n) * max(width, 8); total > maxSyntheticBytes {
			return nil, fmt.Errorf("it takes more than the %d bytes allowed", maxSyntheticBytes)
		}
		tiled[i].Data, tiled[i].Strings = nil, nil
		for row := range int64(n) {
			from := row % have * perRow
			if t.Type == runtime.BYTES {
				tiled[i].Strings = append(tiled[i].Strings, t.Strings[from:from+perRow]...)
			} else {
				tiled[i].Data = append(tiled[i].Data, t.Data[from*width:(from+perRow)*width]...)
			}
		}
	}
	return tiled, nil
}

// nonfiniteElements counts exponents of all ones, which only NaN and infinity
// have.
func nonfiniteElements(t *runtime.Tensor) (count int64) {
	if !t.Type.IsFloat() {
		return 0
	}
	mask := map[runtime.DataType][2]byte{
		runtime.FP16: {0x00, 0x7c}, runtime.BF16: {0x80, 0x7f}, runtime.FP32: {0x80, 0x7f}, runtime.FP64: {0xf0, 0x7f},
	}[t.Type]
	size := t.Type.Size()
	for data := t.Data; len(data) >= size; data = data[size:] {
		if low, high := data[size-2], data[size-1]; low&mask[0] == mask[0] && high&mask[1] == mask[1] {
			count++
		}
	}
	return count
}

// digest adds a tensor to a digest of answers, with all that tells it from
// another.
func digest(h hash.Hash, t *runtime.Tensor) {
	fmt.Fprintf(h, "%q %v %v\n", t.Name, t.Type, t.Shape)
	h.Write(t.Data)
	for _, s := range t.Strings {
		fmt.Fprintf(h, "%q\n", s)
	}
}
