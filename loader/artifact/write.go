package artifact

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteSignature puts a signature beside the manifest in the folder dir, in one
// step.
func WriteSignature(dir string, bundle []byte) error { return writeFile(dir, SignatureFile, bundle) }

// writeFile puts a file into a folder in one step.
func writeFile(dir, name string, body []byte) error {
	temporary, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, WithoutPath(err))
	}
	_, err = temporary.Write(body)
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if err == nil {
		err = temporary.Sync()
	}
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(temporary.Name())
		return fmt.Errorf("write %s: %w", name, WithoutPath(err))
	}
	return nil
}
