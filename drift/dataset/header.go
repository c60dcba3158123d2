package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

// maxHeader is the longest header of an array; NumPy itself trusts 10,000
// bytes.
const maxHeader = 64 << 10

// header is what a NumPy array says of itself
// (numpy.org/doc/stable/reference/generated/numpy.lib.format.html). The reader
// is ours because the one at hand, sbinet/npyio, takes headers on trust: it
// allocates what they claim and panics on some that are cut short.
type header struct {
	shape []int64
	kind  byte // as in dtype.kind: b, i, u, f, S or U
	size  int64
}

var headerForm = regexp.MustCompile(`^\{\s*'descr':\s*'([^']*)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([0-9, ]*)\),?\s*\}\s*$`)

// readHeader reads up to the first byte of data and says how many bytes that
// was.
func readHeader(r io.Reader) (h header, read int64, err error) {
	var fixed [8]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil || string(fixed[:6]) != "\x93NUMPY" {
		return h, 0, errors.New("not a NumPy array")
	}
	width := 2
	if major := fixed[6]; major == 2 || major == 3 {
		width = 4
	} else if major != 1 {
		return h, 0, fmt.Errorf("version %d of NumPy's format is not known", major)
	}
	var length [4]byte
	if _, err := io.ReadFull(r, length[:width]); err != nil {
		return h, 0, fmt.Errorf("header: %w", io.ErrUnexpectedEOF)
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > maxHeader {
		return h, 0, fmt.Errorf("header of %d bytes, more than the %d allowed", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, 0, fmt.Errorf("header: %w", io.ErrUnexpectedEOF)
	}
	err = h.parse(string(text))
	return h, int64(8 + width + int(n)), err
}

func (h *header) parse(text string) error {
	found := headerForm.FindStringSubmatch(text)
	if found == nil {
		if strings.Contains(text, "'descr': [") {
			return errors.New("structured arrays are not read: save each field as an array")
		}
		return fmt.Errorf("header %q is not one of NumPy's", clip(text))
	}
	if found[2] == "True" {
		return errors.New("is in Fortran order: save np.ascontiguousarray(a)")
	}
	for size := range strings.SplitSeq(found[3], ",") {
		if size = strings.TrimSpace(size); size == "" {
			continue
		}
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return fmt.Errorf("shape (%s): %w", clip(found[3]), err)
		}
		h.shape = append(h.shape, n)
	}
	return h.dtype(found[1])
}

// dtype reads for example <f4, |u1 or <U12.
func (h *header) dtype(descr string) error {
	if strings.HasSuffix(descr, "O") {
		return errors.New("holds Python objects, which are not read: save numbers, or texts with dtype=str")
	}
	if len(descr) < 3 {
		return fmt.Errorf("dtype %q is not known", clip(descr))
	}
	n, err := strconv.ParseInt(descr[2:], 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("dtype %q is not known", clip(descr))
	}
	h.kind, h.size = descr[1], n
	known := false
	switch h.kind {
	case 'b':
		known = n == 1
	case 'i', 'u':
		known = n == 1 || n == 2 || n == 4 || n == 8
	case 'f':
		known = n == 2 || n == 4 || n == 8
	case 'S':
		known = true
	case 'U':
		known, h.size = true, 4*n
	}
	switch {
	case !known:
		return fmt.Errorf("dtype %q is not read", clip(descr))
	case descr[0] == '>' && h.size > 1:
		return fmt.Errorf("dtype %q is big-endian: save a.astype(%q)", descr, "<"+descr[1:])
	}
	return nil
}

// bytes is the size of the array's data.
func (h *header) bytes() (int64, error) {
	n, err := runtime.Elements(h.shape)
	if err == nil && h.size > 0 && n > 1<<62/h.size {
		err = errors.New("size in bytes overflows")
	}
	return n * h.size, err
}

// same reports whether elements lie as those of a tensor of this type.
func (h *header) same(t runtime.DataType) bool {
	switch h.kind {
	case 'b':
		return t == runtime.BOOL
	case 'f':
		return t.IsFloat() && t != runtime.BF16 && int64(t.Size()) == h.size
	case 'i':
		return t >= runtime.INT8 && t <= runtime.INT64 && int64(t.Size()) == h.size
	case 'u':
		return t >= runtime.UINT8 && t <= runtime.UINT64 && int64(t.Size()) == h.size
	}
	return false
}
