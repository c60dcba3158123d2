package dataset

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

// maxArrays is how many arrays of one file are looked at.
const maxArrays = 1024

// numpy reads arrays side by side, some rows of each at a time.
type numpy struct {
	options Options
	batched bool
	arrays  []*array
	labels  []int64
	units   []uint64
	rows    int64
	done    int64
	most    int64
}

func openNPY(f io.ReaderAt, size int64, signature *runtime.Signature) (Dataset, error) {
	if len(signature.Inputs) != 1 {
		return nil, fmt.Errorf("an .npy file holds one array, the model has %d inputs: save an .npz", len(signature.Inputs))
	}
	a := &array{name: signature.Inputs[0].Name, data: io.NopCloser(io.NewSectionReader(f, 0, size))}
	var read int64
	var err error
	if a.header, read, err = readHeader(a.data); err != nil {
		return nil, err
	}
	if err := a.prepare(size - read); err != nil {
		return nil, err
	}
	return newNumpy([]*array{a}, signature, Options{})
}

func openNPZ(f io.ReaderAt, size int64, signature *runtime.Signature, o Options) (Dataset, error) {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, fmt.Errorf("not an .npz file, or cut off: %w", err)
	}
	if len(z.File) > maxArrays {
		return nil, fmt.Errorf("%d arrays, more than the %d allowed", len(z.File), maxArrays)
	}
	var arrays []*array
	closeAll := func() {
		for _, a := range arrays {
			_ = a.data.Close()
		}
	}
	for _, entry := range z.File {
		name, ok := strings.CutSuffix(entry.Name, ".npy")
		if !ok || !wanted(name, signature, o) {
			continue
		}
		if slices.ContainsFunc(arrays, func(a *array) bool { return a.name == name }) {
			closeAll()
			return nil, fmt.Errorf("array %q is there twice", clip(name))
		}
		a := &array{name: name}
		arrays = append(arrays, a)
		if err := a.open(entry); err != nil {
			if a.data == nil {
				arrays = arrays[:len(arrays)-1]
			}
			closeAll()
			return nil, err
		}
	}
	d, err := newNumpy(arrays, signature, o)
	if err != nil {
		closeAll()
	}
	return d, err
}

// wanted leaves arrays closed that the model knows nothing of.
func wanted(name string, signature *runtime.Signature, o Options) bool {
	return signature.Input(name) >= 0 || signature.Output(name) >= 0 || isLabelName(name, o) || name == o.Unit
}

func isLabelName(name string, o Options) bool {
	if o.Label != "" {
		return name == o.Label
	}
	return name == "label" || name == "labels"
}

func (a *array) open(entry *zip.File) error {
	data, err := entry.Open()
	if err != nil {
		return fmt.Errorf("array %q: %w", clip(a.name), err)
	}
	a.data = data
	var read int64
	if a.header, read, err = readHeader(data); err != nil {
		return fmt.Errorf("array %q: %w", clip(a.name), err)
	}
	if entry.UncompressedSize64 > 1<<62 {
		return fmt.Errorf("array %q: says it has %d bytes", clip(a.name), entry.UncompressedSize64)
	}
	return a.prepare(int64(entry.UncompressedSize64) - read)
}

// newNumpy finds out which array is which tensor.
func newNumpy(arrays []*array, signature *runtime.Signature, o Options) (*numpy, error) {
	d := &numpy{options: o, batched: signature.Batches(), arrays: arrays, rows: -1, most: 1}
	row, inputs := int64(1), 0
	for _, a := range arrays {
		var spec *runtime.TensorSpec
		if i := signature.Input(a.name); i >= 0 {
			spec, inputs = &signature.Inputs[i], inputs+1
		} else if i := signature.Output(a.name); i >= 0 {
			spec, a.output = &signature.Outputs[i], true
		} else {
			a.unit = a.name == o.Unit
			a.label = !a.unit
			if n, err := runtime.Elements(a.header.shape[1:]); err != nil || n != 1 {
				return nil, fmt.Errorf("array %q has shape %s, want one value for each row", clip(a.name), runtime.FormatShape(a.header.shape))
			}
		}
		if spec != nil {
			if err := a.bind(spec, d.batched); err != nil {
				return nil, err
			}
		}
		if n := a.header.shape[0]; d.rows >= 0 && n != d.rows {
			return nil, fmt.Errorf("array %q has %d rows, others have %d", clip(a.name), n, d.rows)
		}
		d.rows = a.header.shape[0]
		row += a.row
	}
	if inputs == 0 {
		names := make([]string, 0, len(signature.Inputs))
		for _, in := range signature.Inputs {
			names = append(names, in.Name)
		}
		return nil, fmt.Errorf("no array is called after an input of the model: %s", strings.Join(names, ", "))
	}
	if o.Label != "" && !slices.ContainsFunc(arrays, func(a *array) bool { return a.label }) {
		return nil, fmt.Errorf("there is no array %q with the labels", clip(o.Label))
	}
	if o.Unit != "" && !slices.ContainsFunc(arrays, func(a *array) bool { return a.unit }) {
		return nil, fmt.Errorf("there is no array %q with the units", clip(o.Unit))
	}
	if d.batched {
		d.most = max(1, min(batchRows, batchBytes/row))
	}
	return d, nil
}

func (d *numpy) Next() (Batch, error) {
	n := min(d.most, d.rows-d.done)
	if n <= 0 {
		return Batch{}, d.end()
	}
	b := Batch{Rows: int(n)}
	for _, a := range d.arrays {
		if err := a.read(int(n), d.batched); err != nil {
			return Batch{}, fmt.Errorf("rows from %d: %w", d.done, err)
		}
		switch {
		case a.unit:
			d.units = d.units[:0]
			for i := range int(n) {
				d.units = append(d.units, unitOf(a.value(i)))
			}
			b.Units = d.units
		case a.label:
			d.labels = d.labels[:0]
			for i := range int(n) {
				label, err := d.options.class(a.value(i))
				if err != nil {
					return Batch{}, fmt.Errorf("row %d: array %q %w", d.done+int64(i), clip(a.name), err)
				}
				d.labels = append(d.labels, label)
			}
			b.Labels = d.labels
		case a.output:
			b.Outputs = append(b.Outputs, *a.tensor)
		default:
			b.Inputs = append(b.Inputs, *a.tensor)
		}
	}
	d.done += n
	return b, nil
}

// end reads each array's end, where zip files have their checksum.
func (d *numpy) end() error {
	for _, a := range d.arrays {
		var more [1]byte
		if n, err := a.data.Read(more[:]); n > 0 {
			return fmt.Errorf("array %q goes on after its last row", clip(a.name))
		} else if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("array %q: %w", clip(a.name), err)
		}
	}
	return io.EOF
}

func (d *numpy) Progress() (done, total int64) { return d.done, d.rows }

func (d *numpy) Close() error {
	var all []error
	for _, a := range d.arrays {
		all = append(all, a.data.Close())
	}
	return errors.Join(all...)
}
