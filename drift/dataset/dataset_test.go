package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

var (
	mixed = &runtime.Signature{
		Inputs: []runtime.TensorSpec{
			{Name: "x", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 3}},
			{Name: "count", Type: runtime.INT64, Shape: []int64{runtime.Dynamic}},
			{Name: "city", Type: runtime.BYTES, Shape: []int64{runtime.Dynamic}},
			{Name: "yes", Type: runtime.BOOL, Shape: []int64{runtime.Dynamic}},
		},
		Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 3}}},
	}
	onlyX = &runtime.Signature{Inputs: mixed.Inputs[:1], Outputs: mixed.Outputs}
)

// all reads a dataset to its end and prints its rows.
func all(d Dataset) (rows []string, err error) {
	for {
		b, err := d.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return rows, err
		}
		for i := range b.Rows {
			var row []string
			for _, t := range append(b.Inputs, b.Outputs...) {
				row = append(row, t.Name+"="+format(t, i, b.Rows))
			}
			if b.Labels != nil {
				row = append(row, fmt.Sprint("label=", b.Labels[i]))
			}
			rows = append(rows, strings.Join(row, " "))
		}
	}
}

func format(t runtime.Tensor, row, rows int) string {
	elements, err := t.Elements()
	if err != nil {
		return err.Error()
	}
	n := int(elements) / rows
	var values []string
	for i := row * n; i < (row+1)*n; i++ {
		if t.Type == runtime.BYTES {
			values = append(values, fmt.Sprintf("%q", t.Strings[i]))
			continue
		}
		b := t.Data[i*t.Type.Size():]
		switch t.Type {
		case runtime.FP32:
			a := array{header: header{kind: 'f', size: 4}, raw: b}
			values = append(values, fmt.Sprint(float32(a.value(0).number)))
		case runtime.INT64:
			a := array{header: header{kind: 'i', size: 8}, raw: b}
			values = append(values, fmt.Sprint(a.value(0).whole))
		default:
			values = append(values, fmt.Sprint(b[0]))
		}
	}
	return strings.Join(values, ",")
}

var want = []string{
	`x=1,2.5,-3 count=1 city="Wien" yes=1`,
	`x=4,NaN,6 count=-2 city="Köln" yes=0`,
	`x=+Inf,8,0.125 count=3 city="" yes=1`,
	`x=10,11,12 count=40000000000 city="Salzburg" yes=1`,
}

var wantLabels = []int{0, 1, 2, 1}

func TestEveryFormatGivesTheSameRows(t *testing.T) {
	for _, c := range []struct {
		file      string
		options   Options
		signature *runtime.Signature
		labels    bool
	}{
		{"rows.npz", Options{}, mixed, true},
		{"converted.npz", Options{Label: "species"}, mixed, true},
		{"rows.csv", Options{}, mixed, true},
		{"rows.parquet", Options{}, mixed, true},
		{"lists.parquet", Options{}, mixed, true},
		{"requests", Options{}, mixed, false},
		{"x.npy", Options{}, onlyX, false},
		{"rows.npz", Options{}, onlyX, true},
		{"half.npy", Options{}, onlyX, false},
	} {
		t.Run(c.file, func(t *testing.T) {
			d, err := Open(filepath.Join("testdata", c.file), c.signature, c.options)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := all(d)
			if err != nil {
				t.Fatal(err)
			}
			if done, total := d.Progress(); done != total {
				t.Errorf("at the end %d of %d is read", done, total)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if len(rows) != len(want) {
				t.Fatalf("rows %q", rows)
			}
			for i, row := range rows {
				expected := map[string]string{}
				for _, cell := range append(strings.Split(want[i], " "), fmt.Sprint("label=", wantLabels[i])) {
					name, value, _ := strings.Cut(cell, "=")
					expected[name] = value
				}
				cells := strings.Split(row, " ")
				for _, cell := range cells {
					if name, value, _ := strings.Cut(cell, "="); expected[name] != value {
						t.Errorf("row %d: %s is %s, want %s", i, name, value, expected[name])
					}
				}
				n := len(c.signature.Inputs)
				if c.labels {
					n++
				}
				if len(cells) != n {
					t.Errorf("row %d: %s", i, row)
				}
			}
		})
	}
}

func TestColumnsAreTheValuesOfAnOnlyInputInTheirOrder(t *testing.T) {
	text := "sepal,petal,width,label\n1,2,3,setosa\n4,5,6,virginica\n"
	d, err := openCSV(strings.NewReader(text), int64(len(text)), onlyX, Options{Classes: []string{"setosa", "versicolor", "virginica"}})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := all(d)
	if got := fmt.Sprint(rows, err); got != "[x=1,2,3 label=0 x=4,5,6 label=2] <nil>" {
		t.Error(got)
	}
}

func TestRowsOfOneUnitHaveOneHash(t *testing.T) {
	for _, file := range []string{"rows.npz", "rows.csv", "rows.parquet"} {
		d, err := Open(filepath.Join("testdata", file), onlyX, Options{Unit: "yes"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.Next()
		if err != nil || len(b.Units) == 0 || b.Units[0] == 0 {
			t.Fatalf("%s: %v, %v", file, b.Units, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := Open(filepath.Join("testdata", file), onlyX, Options{Unit: "nobody"}); err == nil || !strings.Contains(err.Error(), `"nobody" with the units`) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if one, same, other := unitOf(value{kind: aText, text: []byte("a")}), unitOf(value{kind: aText, text: []byte("a")}), unitOf(value{kind: aWhole, whole: 3}); one != same || one == other || unitOf(value{}) != 0 {
		t.Error(one, same, other)
	}
	if _, err := Open(filepath.Join("testdata", "requests"), mixed, Options{Unit: "x"}); err == nil {
		t.Error("requests have units")
	}
}

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	read := func(name string) []byte {
		body, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	header := func(descr, shape string) []byte {
		text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape)
		return append([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, byte(len(text)), 0}, text...)
	}
	for _, c := range []struct {
		name, format string
		body         []byte
		signature    *runtime.Signature
		complaint    string
	}{
		{"an empty array file", ".npy", nil, onlyX, "not a NumPy array"},
		{"a header cut off", ".npy", read("x.npy")[:40], onlyX, "header: unexpected EOF"},
		{"an array cut off", ".npy", read("x.npy")[:150], onlyX, "22 bytes of data, its header says 48"},
		{"an array that claims exabytes", ".npy", header("<f4", "(100000000000000000, 3)"), onlyX, "header says"},
		{"an array whose size overflows", ".npy", header("<f8", "(9223372036854775807, 3)"), onlyX, "overflows"},
		{"rows of gigabytes", ".npy", header("<f4", "(0, 9000000000)"), onlyX, "more than the 268435456 bytes allowed"},
		{"rows of nothing without end", ".npy", header("<f4", "(1000000000000000000, 0)"), onlyX, "rows without a value"},
		{"a header of megabytes", ".npy", []byte("\x93NUMPY\x02\x00\xff\xff\xff\x7f"), onlyX, "more than the 65536 allowed"},
		{"Fortran order", ".npy", read("fortran.npy"), onlyX, "np.ascontiguousarray"},
		{"big-endian", ".npy", read("big.npy"), onlyX, `save a.astype("<f4")`},
		{"Python objects", ".npy", read("objects.npy"), onlyX, "Python objects, which are not read"},
		{"another shape", ".npy", header("<f4", "(0, 4)"), onlyX, "rows of shape [4], the model's have [3]"},
		{"one array for several inputs", ".npy", read("x.npy"), mixed, "the model has 4 inputs"},
		{"an archive cut off", ".npz", read("rows.npz")[:900], mixed, "not an .npz file, or cut off"},
		{"a damaged archive", ".npz", bytes.Replace(read("rows.npz"), []byte("W\x00\x00\x00i\x00\x00\x00e"), []byte("V\x00\x00\x00i\x00\x00\x00e"), 1), mixed, "checksum"},
		{"an empty table", ".csv", nil, mixed, "is empty; the first line has the names"},
		{"a table without rows is no error", ".csv", []byte("a,b,c\n"), onlyX, ""},
		{"a column twice", ".csv", []byte("a,b,a\n"), onlyX, `two columns are called "a"`},
		{"a missing column", ".csv", []byte("x[0],x[2]\n"), onlyX, `"x" has rows of 3 values, 2 of them have a column`},
		{"a column beyond", ".csv", []byte("x[0],x[1],x[3]\n"), onlyX, "a row of the model's has 3 values"},
		{"other columns", ".csv", []byte("a,b\n"), onlyX, `("x" [-1,3]), and 2 columns are not the values of one`},
		{"a short line", ".csv", []byte("a,b,c\n1,2,3\n1,2\n"), onlyX, "record on line 3: wrong number of fields"},
		{"no number", ".csv", []byte("a,b,c\n1,2,drei\n"), onlyX, `line 2, byte 5: column "c": "drei" is not a number`},
		{"an open quote", ".csv", []byte("a,b,c\n1,2,\"3\n"), onlyX, "quote"},
		{"no class", ".csv", []byte("a,b,c,label\n1,2,3,-1\n"), onlyX, "is not the position of a class"},
		{"an empty whole number", ".csv", []byte("x[0],x[1],x[2],count,city,yes\n1,2,3,,Wien,1\n"), mixed, `column "count": is missing, which INT64 cannot say`},
		{"a fraction", ".csv", []byte("x[0],x[1],x[2],count,city,yes\n1,2,3,1.5,Wien,1\n"), mixed, "1.5 is not a whole number"},
		{"no truth", ".csv", []byte("x[0],x[1],x[2],count,city,yes\n1,2,3,1,Wien,maybe\n"), mixed, "is neither true nor false"},
		{"a Parquet file cut off", ".parquet", read("rows.parquet")[:700], mixed, "not a Parquet file, or cut off"},
		{"no format", ".txt", nil, onlyX, "want .npz, .npy, .csv, .parquet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data"+c.format)
			if err := os.WriteFile(path, c.body, 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := Open(path, c.signature, Options{})
			if err == nil {
				_, err = all(d)
				if closed := d.Close(); closed != nil {
					t.Error(closed)
				}
			}
			if c.complaint == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.complaint) || !strings.Contains(err.Error(), "data"+c.format) {
				t.Errorf("%v, want %q and the file's name", err, c.complaint)
			}
		})
	}
}

func TestARecordWithoutEndIsRefused(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("a,b,c\n1,2,\""), repeat{})
	d, err := openCSV(endless, 1<<40, onlyX, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Next(); err == nil || !strings.Contains(err.Error(), "a record of more than") {
		t.Error(err)
	}
}

type repeat struct{}

func (repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestFoldersWithoutARequestAreRefused(t *testing.T) {
	if _, err := Open(t.TempDir(), mixed, Options{}); err == nil || !strings.Contains(err.Error(), "no request in it") {
		t.Error(err)
	}
}

func TestNumbersAreRoundedToTheModelsType(t *testing.T) {
	for b := range 1 << 16 {
		x := fromHalf(uint16(b))
		if got := half(x); got != uint16(b) && !math.IsNaN(x) {
			t.Fatalf("%04x is %v and comes back as %04x", b, x, got)
		}
	}
	for _, c := range []struct {
		x    float64
		want uint16
	}{{65519, 0x7bff}, {65520, 0x7c00}, {1 + 0x1p-11, 0x3c00}, {1 + 0x3p-11, 0x3c02}, {0x1p-25, 0}, {0x3p-26, 1}, {-2, 0xc000}} {
		if got := half(c.x); got != c.want {
			t.Errorf("%v is %04x, want %04x", c.x, got, c.want)
		}
	}
	for _, c := range []struct {
		x    float32
		want uint16
	}{{1, 0x3f80}, {1 + 0x1p-8, 0x3f80}, {1 + 0x3p-8, 0x3f82}, {float32(math.Inf(1)), 0x7f80}, {float32(math.NaN()), 0x7fc0}} {
		if got := brain(c.x); got != c.want {
			t.Errorf("%v is %04x, want %04x", c.x, got, c.want)
		}
	}
	for _, c := range []struct {
		t  runtime.DataType
		v  value
		ok bool
	}{
		{runtime.UINT8, value{kind: aWhole, whole: 255}, true},
		{runtime.UINT8, value{kind: aWhole, whole: 256}, false},
		{runtime.INT8, value{kind: aText, text: []byte("-128")}, true},
		{runtime.INT8, value{kind: aWhole, whole: -129}, false},
		{runtime.UINT64, value{kind: aText, text: []byte("18446744073709551615")}, true},
		{runtime.UINT64, value{kind: aNumber, number: -1}, false},
		{runtime.BYTES, value{kind: aNumber, number: 1}, false},
	} {
		to := runtime.Tensor{Type: c.t, Data: make([]byte, 8), Strings: make([][]byte, 1)}
		if err := put(&to, 0, c.v); (err == nil) != c.ok {
			t.Errorf("%+v as %s: %v", c.v, c.t, err)
		}
	}
}
