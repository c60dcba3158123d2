package dataset

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

// table puts cells, row by row, into a model's tensors.
type table struct {
	batched bool
	options Options
	tensors []tableTensor
	targets []target // by column of the file
	labels  []int64
	units   []uint64
	rows    int
	most    int // rows of a batch
}

// tableTensor is an input or output that columns belong to.
type tableTensor struct {
	output   bool
	elements int // of a row
	tensor   runtime.Tensor
}

// target is where the cells of one column go.
type target struct {
	tensor int // position in tensors, or one of the two below
	at     int // in a row
	width  int // elements of one cell; more than 1 for a column of lists
}

const (
	ignored = -1
	isLabel = -2
	isUnit  = -3
)

// column is what a file says of one of its columns.
type column struct {
	name string
	list bool
}

// newTable finds out which columns belong where.
func newTable(columns []column, signature *runtime.Signature, o Options) (*table, error) {
	t := &table{batched: signature.Batches(), options: o}
	label, err := labelColumn(columns, signature, o)
	if err != nil {
		return nil, err
	}
	unit := slices.IndexFunc(columns, func(c column) bool { return o.Unit != "" && c.name == o.Unit })
	if o.Unit != "" && unit < 0 {
		return nil, fmt.Errorf("there is no column %q with the units", clip(o.Unit))
	}
	used := map[target]string{}
	for i, c := range columns {
		to := target{tensor: ignored}
		if i == label {
			to.tensor = isLabel
		} else if i == unit {
			to.tensor = isUnit
		} else if to, err = t.find(c, signature); err != nil {
			return nil, err
		}
		if first, taken := used[to]; taken && to.tensor >= 0 {
			return nil, fmt.Errorf("columns %q and %q are the same values of the model", clip(first), clip(c.name))
		}
		used[to] = c.name
		t.targets = append(t.targets, to)
	}
	if len(t.tensors) == 0 {
		if err := t.byOrder(columns, signature); err != nil {
			return nil, err
		}
	}
	return t, t.prepare(columns)
}

// labelColumn is the position of the right classes, -1 where there are none.
func labelColumn(columns []column, signature *runtime.Signature, o Options) (int, error) {
	position := func(name string) int {
		return slices.IndexFunc(columns, func(c column) bool { return c.name == name })
	}
	if o.Label != "" {
		i := position(o.Label)
		if i < 0 {
			return 0, fmt.Errorf("there is no column %q with the labels", clip(o.Label))
		}
		return i, nil
	}
	for _, name := range []string{"label", "labels"} {
		if signature.Input(name) < 0 && signature.Output(name) < 0 && position(name) >= 0 {
			return position(name), nil
		}
	}
	return -1, nil
}

// find says which value of the model a column is called after.
func (t *table) find(c column, signature *runtime.Signature) (target, error) {
	name, at := c.name, -1
	if open := strings.LastIndexByte(c.name, '['); open > 0 && strings.HasSuffix(c.name, "]") {
		if n, err := strconv.Atoi(c.name[open+1 : len(c.name)-1]); err == nil && n >= 0 {
			name, at = c.name[:open], n
		}
	}
	for _, output := range []bool{false, true} {
		specs, i := signature.Inputs, signature.Input(name)
		if output {
			specs, i = signature.Outputs, signature.Output(name)
		}
		if i < 0 {
			continue
		}
		position, err := t.use(&specs[i], output)
		if err != nil {
			return target{}, err
		}
		switch elements := t.tensors[position].elements; {
		case c.list && at < 0:
			return target{position, 0, elements}, nil
		case at < 0 && elements != 1:
			return target{}, fmt.Errorf("column %q is one value, a row of the model's has %d: call them %s[0], %s[1] …", clip(name), elements, clip(name), clip(name))
		case at >= elements:
			return target{}, fmt.Errorf("column %q: a row of the model's has %d values", clip(c.name), elements)
		}
		return target{position, max(at, 0), 1}, nil
	}
	return target{tensor: ignored}, nil
}

// use adds a tensor to those that the file fills.
func (t *table) use(spec *runtime.TensorSpec, output bool) (int, error) {
	if i := slices.IndexFunc(t.tensors, func(u tableTensor) bool { return u.output == output && u.tensor.Name == spec.Name }); i >= 0 {
		return i, nil
	}
	row := spec.Shape
	if t.batched {
		row = row[1:]
	}
	elements, err := runtime.Elements(row)
	if err != nil || elements < 1 {
		return 0, fmt.Errorf("%q has rows of shape %s, which a table cannot hold", clip(spec.Name), runtime.FormatShape(row))
	}
	if elements > MaxRowBytes/8 {
		return 0, fmt.Errorf("%q has rows of %d values, too many for a table", clip(spec.Name), elements)
	}
	t.tensors = append(t.tensors, tableTensor{
		output: output, elements: int(elements),
		tensor: runtime.Tensor{Name: spec.Name, Type: spec.Type, Shape: slices.Clone(spec.Shape)},
	})
	return len(t.tensors) - 1, nil
}

// byOrder takes the columns as the values of a model's only input.
func (t *table) byOrder(columns []column, signature *runtime.Signature) error {
	var free []int
	for i, to := range t.targets {
		if to.tensor == ignored && !columns[i].list {
			free = append(free, i)
		}
	}
	if len(signature.Inputs) == 1 {
		position, err := t.use(&signature.Inputs[0], false)
		if err != nil {
			return err
		}
		if t.tensors[position].elements == len(free) {
			for at, i := range free {
				t.targets[i] = target{position, at, 1}
			}
			return nil
		}
	}
	names := make([]string, 0, len(signature.Inputs))
	for _, in := range signature.Inputs {
		names = append(names, strconv.Quote(clip(in.Name))+" "+runtime.FormatShape(in.Shape))
	}
	return fmt.Errorf("no column is called after an input of the model (%s), and %d columns are not the values of one", strings.Join(names, ", "), len(free))
}

// prepare checks that every value of a row has its column, and makes room.
func (t *table) prepare(columns []column) error {
	filled := make([]int, len(t.tensors))
	for _, to := range t.targets {
		if to.tensor >= 0 {
			filled[to.tensor] += to.width
		}
	}
	bytes := 1
	for i := range t.tensors {
		u := &t.tensors[i]
		if filled[i] != u.elements {
			return fmt.Errorf("%q has rows of %d values, %d of them have a column", clip(u.tensor.Name), u.elements, filled[i])
		}
		bytes += u.elements * max(u.tensor.Type.Size(), 24)
	}
	if bytes > MaxRowBytes {
		return fmt.Errorf("rows of %d bytes, more than the %d allowed", bytes, MaxRowBytes)
	}
	t.most = 1
	if t.batched {
		t.most = max(1, min(batchRows, batchBytes/bytes))
	}
	for i := range t.tensors {
		u := &t.tensors[i]
		if u.tensor.Type == runtime.BYTES {
			u.tensor.Strings = make([][]byte, t.most*u.elements)
		} else {
			u.tensor.Data = make([]byte, t.most*u.elements*u.tensor.Type.Size())
		}
	}
	if slices.ContainsFunc(t.targets, func(to target) bool { return to.tensor == isLabel }) {
		t.labels = make([]int64, t.most)
	}
	if slices.ContainsFunc(t.targets, func(to target) bool { return to.tensor == isUnit }) {
		t.units = make([]uint64, t.most)
	}
	return nil
}

// cell puts one value of the row that is being read. Element is 0 but in lists.
func (t *table) cell(columns []column, column, element int, v value) error {
	to := t.targets[column]
	var err error
	switch {
	case to.tensor == ignored:
	case to.tensor == isLabel:
		t.labels[t.rows], err = t.options.class(v)
	case to.tensor == isUnit:
		t.units[t.rows] = unitOf(v)
	case element >= to.width:
		err = fmt.Errorf("has more than the %d values of a row", to.width)
	default:
		u := &t.tensors[to.tensor]
		err = put(&u.tensor, t.rows*u.elements+to.at+element, v)
	}
	if err != nil {
		return fmt.Errorf("column %q: %w", clip(columns[column].name), err)
	}
	return nil
}

// unitOf hashes a cell that says whom a row is from.
func unitOf(v value) uint64 {
	h := fnv.New64a()
	switch v.kind {
	case nothing:
		return 0
	case aText:
		if len(v.text) == 0 {
			return 0
		}
		_, _ = h.Write(v.text)
	default:
		fmt.Fprint(h, v.whole, v.number)
	}
	return max(h.Sum64(), 1)
}

// class reads a label.
func (o *Options) class(v value) (int64, error) {
	if v.kind == aText {
		if i := slices.Index(o.Classes, string(v.text)); i >= 0 {
			return int64(i), nil
		}
		parsed, err := parse(string(v.text), runtime.INT64)
		if err != nil {
			return 0, fmt.Errorf("%q is neither a class nor the position of one", clip(string(v.text)))
		}
		v = parsed
	}
	if v.kind == aNumber && v.number == float64(int64(v.number)) {
		v = value{kind: aWhole, whole: int64(v.number)}
	}
	if v.kind != aWhole || v.whole < 0 {
		return 0, fmt.Errorf("is not the position of a class")
	}
	return v.whole, nil
}

// batch gives the rows that were read.
func (t *table) batch() Batch {
	b := Batch{Rows: t.rows}
	for _, u := range t.tensors {
		tensor := u.tensor
		tensor.Shape = slices.Clone(tensor.Shape)
		if t.batched {
			tensor.Shape[0] = int64(t.rows)
		}
		if tensor.Type == runtime.BYTES {
			tensor.Strings = tensor.Strings[:t.rows*u.elements]
		} else {
			tensor.Data = tensor.Data[:t.rows*u.elements*tensor.Type.Size()]
		}
		if u.output {
			b.Outputs = append(b.Outputs, tensor)
		} else {
			b.Inputs = append(b.Inputs, tensor)
		}
	}
	if t.labels != nil {
		b.Labels = t.labels[:t.rows]
	}
	if t.units != nil {
		b.Units = t.units[:t.rows]
	}
	return b
}
