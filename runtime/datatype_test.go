package runtime

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestDataTypesHaveTheProtocolsNamesAndSizes(t *testing.T) {
	want := map[string]int{"BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2,
		"INT32": 4, "INT64": 8, "FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "BYTES": 0}
	floats := "FP16 FP32 FP64 BF16"
	if got := len(DataTypes()); got != len(want) {
		t.Errorf("%d types, want %d", got, len(want))
	}
	for _, typ := range DataTypes() {
		name := typ.String()
		if size, ok := want[name]; !ok || size != typ.Size() {
			t.Errorf("%s has %d bytes, want %d", name, typ.Size(), size)
		}
		if typ.IsFloat() != strings.Contains(floats, name) {
			t.Errorf("%s: float is %v", name, typ.IsFloat())
		}
		if parsed, ok := ParseDataType(name); !ok || parsed != typ {
			t.Errorf("%s is parsed as %s, %v", name, parsed, ok)
		}
	}
}

func TestOtherNamesAreNoDataTypes(t *testing.T) {
	for _, name := range []string{"", "INVALID", "fp32", "FP32 ", "STRING", "FLOAT", "UINT", "INT128"} {
		if parsed, ok := ParseDataType(name); ok || parsed != Invalid {
			t.Errorf("%q is parsed as %s", name, parsed)
		}
	}
	for _, typ := range []DataType{Invalid, BYTES + 1, 255} {
		if typ.String() != "INVALID" || typ.Size() != 0 || typ.IsFloat() {
			t.Errorf("type %d is %s of %d bytes", uint8(typ), typ, typ.Size())
		}
	}
}

func TestDataTypesTravelAsText(t *testing.T) {
	var spec TensorSpec
	if err := json.Unmarshal([]byte(`{"name":"x","datatype":"BF16","shape":[-1]}`), &spec); err != nil || spec.Type != BF16 {
		t.Errorf("got %+v, %v", spec, err)
	}
	text, err := json.Marshal(spec)
	if err != nil || string(text) != `{"name":"x","datatype":"BF16","shape":[-1]}` {
		t.Errorf("got %s, %v", text, err)
	}
	err = json.Unmarshal([]byte(`{"datatype":"`+strings.Repeat("f", 500)+`"}`), &spec)
	var unknown *UnknownDataTypeError
	if !errors.As(err, &unknown) || len(err.Error()) > 300 {
		t.Errorf("got %v, want a short UnknownDataTypeError", err)
	}
}
