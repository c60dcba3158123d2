package dataset

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/segue-serving/segue/runtime"
)

type parquetData struct {
	file    *parquet.File
	groups  []parquet.RowGroup
	rows    parquet.Rows
	columns []column
	table   *table
	buffer  [1]parquet.Row
	done    int64
}

func openParquet(r io.ReaderAt, size int64, signature *runtime.Signature, o Options) (d *parquetData, err error) {
	defer guard(&err)
	file, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return nil, fmt.Errorf("not a Parquet file, or cut off: %w", err)
	}
	d = &parquetData{file: file, groups: file.RowGroups()}
	for _, path := range file.Schema().Columns() {
		leaf, _ := file.Schema().Lookup(path...)
		d.columns = append(d.columns, column{name: path[0], list: leaf.MaxRepetitionLevel > 0})
		if len(path) > 1 && leaf.MaxRepetitionLevel != 1 {
			d.columns[len(d.columns)-1].name = "" // of a structure, which no model has
		}
	}
	d.table, err = newTable(d.columns, signature, o)
	return d, err
}

// guard turns a panic of the reader, which trusts what it reads in places,
// into an error.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("damaged: %v", r)
	}
}

func (d *parquetData) Next() (b Batch, err error) {
	defer guard(&err)
	t := d.table
	for t.rows = 0; t.rows < t.most; {
		if d.rows == nil {
			if len(d.groups) == 0 {
				break
			}
			d.rows, d.groups = d.groups[0].Rows(), d.groups[1:]
		}
		n, err := d.rows.ReadRows(d.buffer[:])
		if n == 1 {
			if err := d.row(d.buffer[0]); err != nil {
				return Batch{}, fmt.Errorf("row %d: %w", d.done, err)
			}
			t.rows++
			d.done++
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return Batch{}, fmt.Errorf("row %d: %w", d.done, err)
		}
		if err := errors.Join(d.rows.Close()); err != nil {
			return Batch{}, err
		}
		d.rows = nil
	}
	if t.rows == 0 {
		if d.done != d.file.NumRows() {
			return Batch{}, fmt.Errorf("%d rows, the file says %d: %w", d.done, d.file.NumRows(), io.ErrUnexpectedEOF)
		}
		return Batch{}, io.EOF
	}
	return t.batch(), nil
}

// row puts the cells of one row, where lists are several values of a column.
func (d *parquetData) row(row parquet.Row) error {
	last, element := -1, 0
	for _, cell := range row {
		i := cell.Column()
		if i < 0 || i >= len(d.columns) {
			return errors.New("a value of no column")
		}
		if element++; i != last {
			if err := d.complete(last, element); err != nil {
				return err
			}
			last, element = i, 0
		}
		v, err := parquetValue(cell)
		if err == nil || d.table.targets[i].tensor == ignored {
			err = d.table.cell(d.columns, i, element, v)
		}
		if err != nil {
			return err
		}
	}
	return d.complete(last, element+1)
}

// complete checks that a list had a value for each of a row's.
func (d *parquetData) complete(column, elements int) error {
	if column < 0 {
		return nil
	}
	if to := d.table.targets[column]; to.tensor >= 0 && elements != to.width {
		return fmt.Errorf("column %q: %d values, a row has %d", clip(d.columns[column].name), elements, to.width)
	}
	return nil
}

func parquetValue(v parquet.Value) (value, error) {
	if v.IsNull() {
		return value{}, nil
	}
	switch v.Kind() {
	case parquet.Boolean:
		if v.Boolean() {
			return value{kind: aWhole, whole: 1}, nil
		}
		return value{kind: aWhole}, nil
	case parquet.Int32:
		return value{kind: aWhole, whole: int64(v.Int32())}, nil
	case parquet.Int64:
		return value{kind: aWhole, whole: v.Int64()}, nil
	case parquet.Float:
		return value{kind: aNumber, number: float64(v.Float())}, nil
	case parquet.Double:
		return value{kind: aNumber, number: v.Double()}, nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return value{kind: aText, text: v.ByteArray()}, nil
	}
	return value{}, fmt.Errorf("values of type %s are not read", v.Kind())
}

func (d *parquetData) Progress() (done, total int64) { return d.done, d.file.NumRows() }

func (d *parquetData) Close() error {
	if d.rows == nil {
		return nil
	}
	return d.rows.Close()
}
