package artifact

import (
	"bytes"
	"fmt"
	"io"
)

// lookalikes are what lies where a model should, told by how it begins. No
// archive is ever unpacked, so none can grow.
var lookalikes = []struct {
	at     int
	begins string
	what   string
}{
	{0, "PK\x03\x04", "a zip archive (or something kept in one, like a PyTorch checkpoint), and archives are never unpacked"},
	{0, "\x1f\x8b", "compressed by gzip, and archives are never unpacked"},
	{0, "\x28\xb5\x2f\xfd", "compressed by zstd, and archives are never unpacked"},
	{0, "\xfd7zXZ\x00", "compressed by xz, and archives are never unpacked"},
	{0, "BZh", "compressed by bzip2, and archives are never unpacked"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z archive, and archives are never unpacked"},
	{257, "ustar", "a tar archive, and archives are never unpacked"},
	{0, "version https://git-lfs", "a pointer of Git LFS: fetch the file itself with git lfs pull"},
	{0, "\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes: export the model to ONNX"},
	{0, "ORTM", "a model in ONNX Runtime's own format: keep the .onnx it was made of"},
	{0, "<!DOCTYPE", "an HTML page, as a store may answer in place of a file"},
	{0, "<!doctype", "an HTML page, as a store may answer in place of a file"},
	{0, "<html", "an HTML page, as a store may answer in place of a file"},
	{0, "<?xml", "an XML document, as a store may answer in place of a file"},
}

// lookalike says what a file that is no model seems to be instead, nil where
// that is not known.
func lookalike(src io.ReaderAt, size int64) error {
	if size == 0 {
		return fmt.Errorf("the file is empty")
	}
	head := make([]byte, min(size, 512))
	if n, err := src.ReadAt(head, 0); n < len(head) && err != nil {
		return nil
	}
	for _, l := range lookalikes {
		if len(head) > l.at && bytes.HasPrefix(head[l.at:], []byte(l.begins)) {
			return fmt.Errorf("it is %s", l.what)
		}
	}
	return nil
}
