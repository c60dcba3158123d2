package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/segue-serving/segue/runtime"
)

// maxRecordBytes is the longest record of a CSV file that is read.
const maxRecordBytes = 64 << 20

type csvData struct {
	records *csv.Reader
	bound   *bound
	columns []column
	table   *table
	size    int64
}

// bound refuses to give more bytes for one record than it may have.
type bound struct {
	r    io.Reader
	left int
}

func (b *bound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a record of more than %d bytes", maxRecordBytes)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func openCSV(r io.Reader, size int64, signature *runtime.Signature, o Options) (Dataset, error) {
	d := &csvData{bound: &bound{r: r, left: maxRecordBytes}, size: size}
	text := bufio.NewReader(d.bound)
	if mark, _ := text.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = text.Discard(3)
	}
	d.records = csv.NewReader(text)
	d.records.ReuseRecord = true
	header, err := d.records.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("is empty; the first line has the names of the columns")
	} else if err != nil {
		return nil, err
	}
	for _, name := range header {
		if slices.Contains(d.columns, column{name: name}) {
			return nil, fmt.Errorf("two columns are called %q", clip(name))
		}
		d.columns = append(d.columns, column{name: name})
	}
	d.table, err = newTable(d.columns, signature, o)
	return d, err
}

func (d *csvData) Next() (Batch, error) {
	t := d.table
	for t.rows = 0; t.rows < t.most; t.rows++ {
		d.bound.left = maxRecordBytes
		record, err := d.records.Read()
		if errors.Is(err, io.EOF) {
			if t.rows == 0 {
				return Batch{}, io.EOF
			}
			break
		} else if err != nil {
			return Batch{}, err
		}
		for i, text := range record {
			v := value{kind: aText, text: []byte(text)}
			if err := t.cell(d.columns, i, 0, v); err != nil {
				line, at := d.records.FieldPos(i)
				return Batch{}, fmt.Errorf("line %d, byte %d: %w", line, at, err)
			}
		}
	}
	return t.batch(), nil
}

func (d *csvData) Progress() (done, total int64) { return d.records.InputOffset(), d.size }

func (d *csvData) Close() error { return nil }
