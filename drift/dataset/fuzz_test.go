package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/gateway/oip"
)

// Whatever a file holds: rows or an error, never a panic, and never more rows
// than it says.
func seeds(f *testing.F, names ...string) {
	for _, name := range names {
		body, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		f.Add(body[:len(body)/2])
	}
}

func read(t *testing.T, d Dataset, err error) {
	if err != nil {
		return
	}
	rows, _ := all(d)
	if _, total := d.Progress(); int64(len(rows)) > max(total, 0) {
		t.Fatalf("%d rows, of %d", len(rows), total)
	}
	_ = d.Close()
}

func FuzzNPY(f *testing.F) {
	seeds(f, "x.npy", "half.npy", "fortran.npy", "big.npy", "objects.npy")
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := openNPY(bytes.NewReader(body), int64(len(body)), onlyX)
		read(t, d, err)
	})
}

func FuzzNPZ(f *testing.F) {
	seeds(f, "rows.npz", "converted.npz")
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := openNPZ(bytes.NewReader(body), int64(len(body)), mixed, Options{})
		read(t, d, err)
	})
}

func FuzzCSV(f *testing.F) {
	seeds(f, "rows.csv")
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := openCSV(bytes.NewReader(body), int64(len(body)), mixed, Options{})
		read(t, d, err)
	})
}

func FuzzParquet(f *testing.F) {
	seeds(f, "rows.parquet", "lists.parquet")
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := openParquet(bytes.NewReader(body), int64(len(body)), mixed, Options{})
		if err == nil {
			read(t, d, nil)
		}
	})
}

func FuzzRequest(f *testing.F) {
	seeds(f, "requests/0.json", "requests/1.bin")
	f.Fuzz(func(_ *testing.T, body []byte) {
		for _, binary := range []bool{false, true} {
			var r oip.InferRequest
			_, _ = decodeRequest(&r, mixed, body, binary)
		}
	})
}
