package gateway

import (
	"bytes"
	"compress/zlib"
	"io"
	"testing"

	"google.golang.org/grpc/encoding"
)

func TestDeflateOverGRPCIsTheFormatOfZlib(t *testing.T) {
	d := encoding.GetCompressor(deflateName)
	for range 3 { // from the pools too
		text := bytes.Repeat([]byte("mozart "), 1000)
		var ours, theirs bytes.Buffer
		w, err := d.Compress(&ours)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		standard, err := zlib.NewReader(&ours)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(standard); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes are read of %d, %v", len(got), len(text), err)
		}

		z := zlib.NewWriter(&theirs)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		whole := theirs.Bytes()
		for _, c := range []struct {
			packed []byte
			ok     bool
		}{{whole, true}, {whole[:len(whole)-3], false}, {[]byte("mozart"), false}, {nil, false}, {whole, true}} {
			r, err := d.Decompress(bytes.NewReader(c.packed))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
				_ = r.(io.Closer).Close() // says again what reading said
			}
			if (err == nil) != c.ok || c.ok && !bytes.Equal(got, text) {
				t.Errorf("%d bytes of %d packed: %d bytes, %v", len(c.packed), len(whole), len(got), err)
			}
		}
	}
}
