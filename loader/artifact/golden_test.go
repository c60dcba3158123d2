package artifact_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

func tensor(t *testing.T, datatype runtime.DataType, shape []int64, data string) (runtime.Tensor, error) {
	t.Helper()
	d := artifact.TensorData{Name: "t", Type: datatype, Shape: shape, Data: json.RawMessage(data)}
	return d.Tensor()
}

func TestGoldensDecodeEveryType(t *testing.T) {
	for _, c := range []struct {
		datatype runtime.DataType
		data     string
		want     string // little-endian bytes
	}{
		{runtime.BOOL, "[true, false]", "\x01\x00"},
		{runtime.UINT8, "[0,255]", "\x00\xff"},
		{runtime.UINT16, "[1,65535]", "\x01\x00\xff\xff"},
		{runtime.UINT32, "[1,4294967295]", "\x01\x00\x00\x00\xff\xff\xff\xff"},
		{runtime.UINT64, "[1,18446744073709551615]", "\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"},
		{runtime.INT8, "[-128,127]", "\x80\x7f"},
		{runtime.INT16, "[-32768,1]", "\x00\x80\x01\x00"},
		{runtime.INT32, "[-1,2]", "\xff\xff\xff\xff\x02\x00\x00\x00"},
		{runtime.INT64, "[-9223372036854775808,-2]", "\x00\x00\x00\x00\x00\x00\x00\x80\xfe\xff\xff\xff\xff\xff\xff\xff"},
		{runtime.FP16, `[1.5,"Infinity"]`, "\x00\x3e\x00\x7c"},
		{runtime.BF16, `[1.5,"-Infinity"]`, "\xc0\x3f\x80\xff"},
		{runtime.FP32, `[0.10000000149011612, -0.0]`, "\xcd\xcc\xcc\x3d\x00\x00\x00\x80"},
		{runtime.FP64, `[0.1,"Infinity"]`, "\x9a\x99\x99\x99\x99\x99\xb9\x3f\x00\x00\x00\x00\x00\x00\xf0\x7f"},
	} {
		got, err := tensor(t, c.datatype, []int64{2}, c.data)
		if err != nil {
			t.Errorf("%s: %v", c.datatype, err)
		} else if string(got.Data) != c.want {
			t.Errorf("%s %s: got % x, want % x", c.datatype, c.data, got.Data, c.want)
		}
	}
	got, err := tensor(t, runtime.BYTES, []int64{1, 3}, `["a,]\"", "", "ü\u00fc"]`)
	if err != nil || len(got.Strings) != 3 || string(got.Strings[0]) != `a,]"` || string(got.Strings[1]) != "" || string(got.Strings[2]) != "üü" {
		t.Errorf("BYTES: got %q and %v", got.Strings, err)
	}
	if got, err := tensor(t, runtime.FP32, []int64{0, 4}, "[ ]"); err != nil || len(got.Data) != 0 {
		t.Errorf("empty: got %v and %v", got, err)
	}
	if got, err := tensor(t, runtime.FP32, []int64{}, "[1]"); err != nil || len(got.Data) != 4 {
		t.Errorf("scalar: got %v and %v", got, err)
	}
}

func TestGoldensOutOfATypesRangeAreRefused(t *testing.T) {
	for _, c := range []struct {
		datatype runtime.DataType
		data     string
		want     string
	}{
		{runtime.UINT8, "[256]", "256: not a whole number that UINT8 holds"},
		{runtime.UINT64, "[-1]", "-1: not a whole number"},
		{runtime.INT8, "[-129]", "-129: not a whole number"},
		{runtime.INT32, "[1.0]", "1.0: not a whole number"},
		{runtime.INT64, "[9223372036854775808]", "not a whole number"},
		{runtime.INT64, `["1"]`, "not a whole number"},
		{runtime.BOOL, "[1]", "1: want true or false"},
		{runtime.BYTES, "[1]", "1: want a string"},
		{runtime.FP16, "[65520]", "65520: not a number that FP16 holds"},
		{runtime.BF16, "[3.4e38]", "3.4e38: not a number that BF16 holds"},
		{runtime.FP32, "[1e39]", "1e39: not a number that FP32 holds"},
		{runtime.FP64, "[1e309]", "1e309: not a number that FP64 holds"},
		{runtime.FP64, "[true]", "true: want a number"},
		{runtime.FP32, "[1,2]", "data: 2 elements for shape [1]"},
		{runtime.FP32, "{}", "want a flat list"},
	} {
		if _, err := tensor(t, c.datatype, []int64{1}, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want …%s…", c.datatype, c.data, err, c.want)
		}
	}
	if _, err := tensor(t, runtime.FP32, []int64{math.MaxInt64, 4}, "[1]"); err == nil || !strings.Contains(err.Error(), "overflows") {
		t.Errorf("got %v, want an overflow", err)
	}
}

// Every value of the 16-bit types must survive being written and read, which
// holds both conversions against each other and against the bits.
func TestHalvesSurviveARoundTrip(t *testing.T) {
	for _, datatype := range []runtime.DataType{runtime.FP16, runtime.BF16} {
		in := runtime.Tensor{Name: "h", Type: datatype, Shape: []int64{1 << 16}}
		for v := range 1 << 16 {
			in.Data = binary.LittleEndian.AppendUint16(in.Data, uint16(v))
		}
		written, err := artifact.NewTensorData(&in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := written.Tensor()
		if err != nil {
			t.Fatal(err)
		}
		exponent, mantissa := uint16(0x7c00), uint16(0x3ff)
		if datatype == runtime.BF16 {
			exponent, mantissa = 0x7f80, 0x7f
		}
		for v := range uint16(math.MaxUint16) {
			got := binary.LittleEndian.Uint16(out.Data[int(v)*2:])
			if v&exponent == exponent && v&mantissa != 0 {
				if got&exponent != exponent || got&mantissa == 0 {
					t.Fatalf("%s %#04x: got %#04x, want a NaN", datatype, v, got)
				}
			} else if got != v {
				t.Fatalf("%s %#04x: got %#04x", datatype, v, got)
			}
		}
	}
}

func TestHalvesRoundToEven(t *testing.T) {
	for _, c := range []struct {
		datatype runtime.DataType
		number   string
		want     uint16
	}{
		{runtime.FP16, "2049", 0x6800},        // between 2048 and 2050: even mantissa
		{runtime.FP16, "2051", 0x6802},        // between 2050 and 2052
		{runtime.FP16, "65519", 0x7bff},       // just below what rounds to infinity
		{runtime.FP16, "2.9e-8", 0x0000},      // below half the smallest
		{runtime.FP16, "3.1e-8", 0x0001},      // above it
		{runtime.FP16, "6.1e-5", 0x03ff},      // largest below the normal ones
		{runtime.BF16, "257", 0x4380},         // between 256 and 258
		{runtime.BF16, "-1.00390625", 0xbf80}, // half a unit above 1
	} {
		got, err := tensor(t, c.datatype, []int64{1}, "["+c.number+"]")
		if err != nil {
			t.Errorf("%s: %v", c.number, err)
		} else if bits := binary.LittleEndian.Uint16(got.Data); bits != c.want {
			t.Errorf("%s as %s: got %#04x, want %#04x", c.number, c.datatype, bits, c.want)
		}
	}
}

func TestCompareNamesTheFirstDifference(t *testing.T) {
	make2x2 := func(name string, datatype runtime.DataType, data string) []runtime.Tensor {
		d := artifact.TensorData{Name: name, Type: datatype, Shape: []int64{2, 2}, Data: json.RawMessage(data)}
		got, err := d.Tensor()
		if err != nil {
			t.Fatal(err)
		}
		return []runtime.Tensor{got}
	}
	tolerance := artifact.Tolerance{Absolute: 0.01, Relative: 0.1}
	for _, c := range []struct {
		name      string
		datatype  runtime.DataType
		got, want string
		message   string
	}{
		{"equal", runtime.FP32, "[1,2,3,4]", "[1,2,3,4]", ""},
		{"within", runtime.FP32, "[1,2,3.2,4]", "[1.1,2,3,4]", ""},
		{"beyond", runtime.FP32, "[1,2,3,4]", "[1,2,3,5]",
			`output "y" at [1,1] (element 3): got 4, want 5, tolerance 0.01 absolute and 0.1 relative`},
		{"several", runtime.FP64, "[0,0,0,0]", "[0,1,1,1]",
			`output "y" at [0,1] (element 1): got 0, want 1, tolerance 0.01 absolute and 0.1 relative; 2 other elements of 4 differ too`},
		{"NaN equals NaN", runtime.FP16, `["NaN",0,0,0]`, `["NaN",0,0,0]`, ""},
		{"NaN", runtime.FP32, `["NaN",0,0,0]`, "[0,0,0,0]", "got NaN, want 0"},
		{"infinities", runtime.BF16, `["Infinity",0,0,0]`, `["Infinity",0,0,0]`, ""},
		{"wrong infinity", runtime.FP32, `["-Infinity",0,0,0]`, `["Infinity",0,0,0]`, "got -Infinity, want Infinity"},
		{"finite for infinite", runtime.FP32, `[5,0,0,0]`, `["Infinity",0,0,0]`, "got 5, want Infinity"},
		{"integers are exact", runtime.INT64, "[100,0,0,0]", "[101,0,0,0]", `output "y" at [0,0] (element 0): got 100, want 101`},
		{"strings", runtime.BYTES, `["a","","",""]`, `["b","","",""]`, `got "a", want "b"`},
		{"booleans", runtime.BOOL, `[true,true,true,true]`, `[true,true,true,false]`, "got true, want false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := artifact.Compare(make2x2("y", c.datatype, c.got), make2x2("y", c.datatype, c.want), tolerance)
			if c.message == "" {
				if err != nil {
					t.Errorf("got %v, want equal", err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %v, want …%s…", err, c.message)
			}
		})
	}
	y := make2x2("y", runtime.FP32, "[1,2,3,4]")
	if err := artifact.Compare(nil, y, tolerance); err == nil || err.Error() != `output "y" is missing` {
		t.Errorf("got %v, want a missing output", err)
	}
	if err := artifact.Compare(make2x2("y", runtime.FP64, "[1,2,3,4]"), y, tolerance); err == nil || err.Error() != `output "y" is FP64, want FP32` {
		t.Errorf("got %v, want another type", err)
	}
	flat := runtime.Tensor{Name: "y", Type: runtime.FP32, Shape: []int64{4}, Data: y[0].Data}
	if err := artifact.Compare([]runtime.Tensor{flat}, y, tolerance); err == nil || err.Error() != `output "y" has shape [4], want [2,2]` {
		t.Errorf("got %v, want another shape", err)
	}
	if err := artifact.Compare(append(make2x2("z", runtime.INT8, "[1,1,1,1]"), y...), y, tolerance); err != nil {
		t.Errorf("an answer that is not asked for: %v", err)
	}
}

func TestCompareSignatureTellsWhatDiffers(t *testing.T) {
	spec := func(name string, datatype runtime.DataType, shape ...int64) runtime.TensorSpec {
		return runtime.TensorSpec{Name: name, Type: datatype, Shape: shape}
	}
	sig := func(in, out []runtime.TensorSpec) *runtime.Signature {
		return &runtime.Signature{Inputs: in, Outputs: out}
	}
	list := func(specs ...runtime.TensorSpec) []runtime.TensorSpec { return specs }
	x, y := list(spec("x", runtime.FP32, -1, 2)), list(spec("y", runtime.FP32, -1, 3))
	for _, c := range []struct {
		got, declared *runtime.Signature
		want          string
	}{
		{sig(x, y), sig(x, y), ""},
		{sig(x, list(spec("y", runtime.FP32, 4, 3))), sig(x, list(spec("y", runtime.FP32, -1, -1))), ""},
		{sig(list(spec("z", runtime.FP32, -1, 2)), y), sig(x, y), `input 0 of the model is "z", the manifest says "x"`},
		{sig(nil, y), sig(x, y), `the model has no input "x"`},
		{sig(append(x, spec("more", runtime.BOOL)), y), sig(x, y), `input "more" of the model is not in the manifest`},
		{sig(list(spec("x", runtime.FP64, -1, 2)), y), sig(x, y), `input "x" of the model is FP64, the manifest says FP32`},
		{sig(list(spec("x", runtime.FP32, 1, 2)), y), sig(x, y), `input "x" of the model has shape [1,2], the manifest says [-1,2]`},
		{sig(x, list(spec("y", runtime.FP32, -1, 4))), sig(x, y), `output "y" of the model has shape [-1,4], the manifest says [-1,3]`},
		{sig(x, list(spec("y", runtime.FP32, -1))), sig(x, y), `output "y" of the model has shape [-1], the manifest says [-1,3]`},
	} {
		err := artifact.CompareSignature(c.got, c.declared)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
