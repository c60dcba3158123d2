package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// Most files that one model may name.
	maxExternalFiles = 1 << 12
	// Longest offset or length that is read, in digits.
	maxNumberBytes = 32
)

// tensor reads a TensorProto for the file that its data lies in.
func (r *onnxReader) tensor(m span, depth int) error {
	var name span
	var entries []span
	var dims extent
	external := false
	err := r.fields(m, depth, func(f field) error {
		switch {
		case f.is(1, protowire.VarintType): // dims, one by one
			dims.add(f.value)
		case f.is(1, protowire.BytesType): // dims, packed
			return r.packed(f.body, dims.add)
		case f.is(2, protowire.VarintType): // data_type
			dims.elemType = f.value
		case f.is(8, protowire.BytesType): // name
			name = f.body
		case f.is(13, protowire.BytesType): // external_data
			if len(entries) == 64 {
				return fmt.Errorf("byte %d: more than 64 entries on one tensor's external data", f.body.pos)
			}
			entries = append(entries, f.body)
		case f.is(14, protowire.VarintType): // data_location; 1 is EXTERNAL
			external = f.value == 1
		}
		return nil
	})
	if err != nil || !external {
		return err
	}
	return r.externalTensor(name, entries, dims, depth+1)
}

func (r *onnxReader) externalTensor(name span, entries []span, dims extent, depth int) error {
	kept := r.kept
	tensor, err := r.text(name, maxNameBytes)
	if err != nil {
		return err
	}
	given := make(map[string]string, len(entries))
	for _, entry := range entries {
		if err := r.externalEntry(entry, depth, given); err != nil {
			return fmt.Errorf("external data of tensor %q: %w", clip(tensor), err)
		}
	}
	location, err := cleanLocation(given["location"])
	if err != nil {
		return fmt.Errorf("external data of tensor %q: %w", clip(tensor), err)
	}
	end, err := externalEnd(given, dims)
	if err != nil {
		return fmt.Errorf("external data of tensor %q: %w", clip(tensor), err)
	}
	if i, known := r.external[location]; known {
		// Weights share files by the thousand: only the first mention is kept.
		r.kept = kept
		r.found.External[i].End = max(r.found.External[i].End, end)
		return nil
	}
	if len(r.found.External) == maxExternalFiles {
		return fmt.Errorf("more than the %d external files allowed", maxExternalFiles)
	}
	r.external[location] = len(r.found.External)
	r.found.External = append(r.found.External, ExternalData{Location: location, Tensor: tensor, End: end})
	return nil
}

// externalEntry reads a StringStringEntryProto into given.
func (r *onnxReader) externalEntry(m span, depth int, given map[string]string) error {
	var key, value string
	err := r.fields(m, depth, func(f field) (err error) {
		switch {
		case f.is(1, protowire.BytesType):
			key, err = r.text(f.body, maxNameBytes)
		case f.is(2, protowire.BytesType):
			value, err = r.text(f.body, maxNameBytes)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, twice := given[key]; twice {
		return fmt.Errorf("%q is given twice", clip(key))
	}
	given[key] = value
	return nil
}

// cleanLocation refuses whatever could name anything but a file inside the
// artifact. ONNX Runtime takes "*/_ORT_MEM_ADDR_/*" for an address in its own
// memory.
func cleanLocation(location string) (string, error) {
	if location == "" {
		return "", errors.New("names no file")
	}
	clean := strings.TrimPrefix(location, "./")
	if !fs.ValidPath(clean) || clean == "." || strings.ContainsAny(clean, "\\\x00*") || strings.Contains(clean, "_ORT_MEM_ADDR_") {
		return "", fmt.Errorf("location %q is not a clean relative path inside the folder", clip(location))
	}
	return clean, nil
}

// externalEnd returns the first byte behind the named range. Its length is that
// of the tensor, whether it is written down or not.
func externalEnd(given map[string]string, dims extent) (int64, error) {
	number := func(key string) (int64, error) {
		text, ok := given[key]
		if !ok {
			return 0, nil
		}
		if len(text) > maxNumberBytes {
			return 0, fmt.Errorf("%s is not a number", key)
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%s %q is not a size in bytes", key, text)
		}
		return n, nil
	}
	offset, err := number("offset")
	if err != nil {
		return 0, err
	}
	length, err := number("length")
	if err != nil {
		return 0, err
	}
	needed, known, err := dims.bytes()
	if err != nil {
		return 0, err
	}
	// Like ONNX Runtime, which takes a length of 0 for one that is not given.
	if known && length != 0 && length != needed {
		return 0, fmt.Errorf("length %d for a tensor of %d bytes", length, needed)
	} else if known {
		length = needed
	}
	if offset > math.MaxInt64-length {
		return 0, fmt.Errorf("offset %d and length %d overflow", offset, length)
	}
	return offset + length, nil
}

// sparse reads a SparseTensorProto.
func (r *onnxReader) sparse(m span, depth int) error {
	var once singular
	return r.fields(m, depth, func(f field) error {
		if f.is(1, protowire.BytesType) || f.is(2, protowire.BytesType) { // values, indices
			return once.then(f, func() error { return r.tensor(f.body, depth+1) })
		}
		return nil
	})
}
