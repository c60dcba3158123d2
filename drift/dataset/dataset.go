package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

const (
	// MaxRowBytes is the largest row that is read, and the largest request.
	MaxRowBytes = 256 << 20
	// batchRows and batchBytes bound a batch, but one row may be larger.
	batchRows  = 256
	batchBytes = 4 << 20
)

// Batch is some rows of data, valid until the next is read.
type Batch struct {
	// Inputs and Outputs are those tensors that the data has.
	Inputs, Outputs []runtime.Tensor
	// Labels are the right class of each row, nil where the data has none.
	Labels []int64
	// Units are hashes of whom each row is from, nil where nobody knows; 0 is
	// nobody known.
	Units []uint64
	// Rows is how many there are.
	Rows int
}

// Dataset gives the rows of one file or folder. It is for one goroutine.
type Dataset interface {
	// Next reads the next rows; the error is io.EOF after the last.
	Next() (Batch, error)
	// Progress is how much was read of how much there is, in a unit that differs
	// from format to format.
	Progress() (done, total int64)
	// Close closes the files. What was read stays valid.
	Close() error
}

// Options say what else is in the data.
type Options struct {
	// Label is the column or array with the right class of each row, as its
	// position or its name in Classes; by default "label" or "labels" where the
	// data has one.
	Label string
	// Unit is the column or array that says whom or what each row is from, empty
	// where none does.
	Unit string
	// Classes are the names of the classes by position.
	Classes []string
}

// Open reads a file by the ending of its name, or a folder of requests.
func Open(path string, signature *runtime.Signature, o Options) (Dataset, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() && (o.Label != "" || o.Unit != "") {
		return nil, fmt.Errorf("%s: requests have neither labels nor units", filepath.Base(path))
	}
	if info.IsDir() {
		return openRequests(path, signature)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	d, err := open(f, info.Size(), strings.ToLower(filepath.Ext(path)), signature, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(path), err), f.Close())
	}
	return &named{Dataset: d, file: f, name: filepath.Base(path)}, nil
}

func open(f *os.File, size int64, format string, signature *runtime.Signature, o Options) (Dataset, error) {
	switch format {
	case ".npz":
		return openNPZ(f, size, signature, o)
	case ".npy":
		return openNPY(f, size, signature)
	case ".csv":
		return openCSV(f, size, signature, o)
	case ".parquet":
		return openParquet(f, size, signature, o)
	}
	return nil, fmt.Errorf("want .npz, .npy, .csv, .parquet or a folder of requests")
}

// named says in errors which file it was.
type named struct {
	Dataset
	file *os.File
	name string
}

func (n *named) Next() (Batch, error) {
	b, err := n.Dataset.Next()
	if err != nil && !isEnd(err) {
		err = fmt.Errorf("%s: %w", n.name, err)
	}
	return b, err
}

func (n *named) Close() error { return errors.Join(n.Dataset.Close(), n.file.Close()) }
