package oip

import (
	"bytes"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of a parameter's value.
const (
	parameterBool   = 1
	parameterInt64  = 2
	parameterUint64 = 5
)

// readEntry reads one entry of a map of parameters, with the meaning that they
// have over REST.
func (p *parameters) readEntry(entry []byte) error {
	var key []byte
	var number protowire.Number
	var scalar uint64
	f := fieldReader{rest: entry}
	for f.next() {
		switch {
		case f.text(1):
			key = f.value
		case f.text(2):
			value := fieldReader{rest: f.value}
			for value.next() {
				number, scalar = value.number, value.scalar
			}
			if err := value.err("a parameter"); err != nil {
				return err
			}
		}
	}
	if err := f.err("parameters"); err != nil {
		return err
	}
	switch string(key) {
	case "binary_data", "binary_data_output":
		to := &p.binaryData
		if string(key) == "binary_data_output" {
			to = &p.binaryDataOutput
		}
		if number != parameterBool {
			return refuse("parameter %s must be a bool_param", key)
		}
		*to = no
		if scalar != 0 {
			*to = yes
		}
		return nil
	case "timeout":
		if number != parameterInt64 && number != parameterUint64 || number == parameterInt64 && int64(scalar) < 0 {
			return refuse("parameter timeout (in microseconds) must be an int64_param that is not negative, or a uint64_param")
		}
		p.timeout = time.Duration(min(scalar, math.MaxInt64/1000)) * time.Microsecond
		return nil
	}
	return refuseUnsupported(key)
}

// refuseUnsupported refuses parameters of features that change what an answer
// means and that are not offered; all others may be ignored.
func refuseUnsupported(key []byte) error {
	if string(key) == "classification" || string(key) == "priority" ||
		bytes.HasPrefix(key, []byte("sequence_")) || bytes.HasPrefix(key, []byte("shared_memory_")) {
		return refuse("parameter %s is not supported", quote(key))
	}
	return nil
}
