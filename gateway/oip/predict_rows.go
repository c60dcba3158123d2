package oip

import "slices"

// instances decodes the value of "instances".
func (d *predictDecoder) instances() error {
	at := d.s.pos
	if d.s.peek() != '[' {
		return d.s.want("instances", "a list")
	}
	d.s.pos++
	switch {
	case d.s.peek() == ']':
		return refuse("instances is empty")
	case d.bare():
		d.s.pos = at
		d.r.given[0] = true
		return d.column(0)
	}
	d.s.pos = at
	rows, err := d.measureRows()
	if err != nil {
		return err
	}
	d.s.pos = at
	if err := d.prepareRows(rows); err != nil {
		return err
	}
	if err := d.s.list("instances", d.row); err != nil {
		return err
	}
	for i := range d.sig.Inputs {
		if err := d.limits.checkTexts(&d.sig.Inputs[i], d.r.Inputs[i].Strings); err != nil {
			return err
		}
	}
	return nil
}

// measureRows counts the rows and measures the values of the first.
func (d *predictDecoder) measureRows() (rows int, err error) {
	err = d.s.list("instances", func(i int) error {
		rows++
		if i > 0 {
			return d.s.hop()
		}
		return d.s.object("a row of a model with other than one input", func(name []byte) error {
			position, err := d.r.claim(d.sig, name)
			if err != nil {
				return err
			}
			spec := &d.sig.Inputs[position]
			shape := d.newShape(max(1, len(spec.Shape)))
			d.r.Inputs[position].Shape = shape
			return d.measure(spec, shape[1:], 1)
		})
	})
	if err != nil {
		return 0, err
	}
	return rows, d.r.complete(d.sig)
}

// prepareRows gives every input memory for so many rows. All inputs together
// must fit the text: rows that claim the size of the first, and are empty,
// would otherwise cost as much for each input.
func (d *predictDecoder) prepareRows(rows int) error {
	n := len(d.sig.Inputs)
	d.r.fillers = slices.Grow(d.r.fillers, n)[:0]
	d.r.rows = slices.Grow(d.r.rows, n)[:n]
	clear(d.r.rows)
	left := len(d.s.b) - d.s.pos
	for i := range n {
		shape := d.r.Inputs[i].Shape
		shape[0] = int64(rows)
		f, err := d.filler(i, shape, left)
		if err != nil {
			return err
		}
		elements := len(d.r.Inputs[i].Data) / max(1, f.kind.Size())
		left -= int(leastText(f.kind)) * (elements + len(f.strings))
		d.r.fillers = append(d.r.fillers, f)
	}
	return nil
}

// row reads the named values of row i to their places.
func (d *predictDecoder) row(i int) error {
	given := 0
	at := d.s.pos
	err := d.s.object("a row of instances", func(name []byte) error {
		position := -1
		for k := range d.sig.Inputs {
			if d.sig.Inputs[k].Name == string(name) {
				position = k
			}
		}
		if position < 0 {
			return refuse("instances[%d]: unknown input %s: the model takes %s", i, quote(name), listNames(d.sig.Inputs))
		}
		if d.r.rows[position] == i+1 {
			return refuse("instances[%d]: input %s is given twice", i, quote(name))
		}
		d.r.rows[position] = i + 1
		given++
		shape := d.r.Inputs[position].Shape
		if len(shape) > 0 {
			shape = shape[1:]
		}
		elements := 1
		for _, size := range shape {
			elements *= int(size)
		}
		f := &d.r.fillers[position]
		if len(shape) == 0 {
			return f.bare()
		}
		return f.tensor(shape, elements, false)
	})
	if err != nil || given == len(d.sig.Inputs) {
		return err
	}
	for k, row := range d.r.rows {
		if row != i+1 {
			return refuse("instances[%d] at byte %d: input %s is missing", i, at, quote(d.sig.Inputs[k].Name))
		}
	}
	return nil
}
