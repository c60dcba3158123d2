package runtime

// DataType is an element type of the Open Inference Protocol.
type DataType uint8

// The element types that Segue serves, under the protocol's names.
const (
	Invalid DataType = iota
	BOOL
	UINT8
	UINT16
	UINT32
	UINT64
	INT8
	INT16
	INT32
	INT64
	FP16
	FP32
	FP64
	BF16
	BYTES
)

var dataTypeNames = [...]string{"INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64",
	"INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BF16", "BYTES"}

var dataTypeSizes = [...]int{0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2, 0}

// DataTypes lists every element type that can be served, in protocol order.
func DataTypes() []DataType {
	all := make([]DataType, 0, len(dataTypeNames)-1)
	for t := BOOL; t <= BYTES; t++ {
		all = append(all, t)
	}
	return all
}

// String returns the protocol's name of the type, "INVALID" for no type.
func (t DataType) String() string {
	if int(t) >= len(dataTypeNames) {
		return dataTypeNames[Invalid]
	}
	return dataTypeNames[t]
}

// Size returns the bytes of one element, 0 for BYTES (whose elements differ
// in length) and for no type.
func (t DataType) Size() int {
	if int(t) >= len(dataTypeSizes) {
		return 0
	}
	return dataTypeSizes[t]
}

// IsFloat reports whether the type can hold NaN and infinities.
func (t DataType) IsFloat() bool {
	return t == FP16 || t == FP32 || t == FP64 || t == BF16
}

// ParseDataType returns the type of a protocol name such as "FP32"; ok is
// false for any other string, lower case included.
func ParseDataType(name string) (t DataType, ok bool) {
	for t := BOOL; t <= BYTES; t++ {
		if dataTypeNames[t] == name {
			return t, true
		}
	}
	return Invalid, false
}

// MarshalText writes the protocol's name.
func (t DataType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a protocol name and refuses any other.
func (t *DataType) UnmarshalText(text []byte) error {
	parsed, ok := ParseDataType(string(text))
	if !ok {
		return &UnknownDataTypeError{Name: string(text)}
	}
	*t = parsed
	return nil
}

// UnknownDataTypeError says that a name is not an element type of the
// protocol.
type UnknownDataTypeError struct{ Name string }

// Error names the unknown type.
func (e *UnknownDataTypeError) Error() string {
	return "unknown datatype " + quoted(e.Name) + ": want BOOL, UINT8-64, INT8-64, FP16, FP32, FP64, BF16 or BYTES"
}
