package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// staged is a change of one file that is prepared and not made yet.
type staged struct {
	path string
	// temp is the complete new content beside path, synced; empty removes path.
	temp string
	// before is the content to go back to, nil where there was no file.
	before []byte
	mode   fs.FileMode
}

// stage prepares a file's new content; nil removes the file.
func stage(path string, content []byte, mode fs.FileMode) (staged, error) {
	s := staged{path: path, mode: mode}
	// A link stays one: what it leads to is written.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		s.path = target
		if info, err := os.Stat(target); err == nil {
			s.mode = info.Mode().Perm()
		}
		if s.before, err = os.ReadFile(target); err != nil {
			return s, err
		}
	}
	if content == nil {
		s.path = path // the link itself goes
		return s, nil
	}
	var err error
	s.temp, err = writeTemp(s.path, content, s.mode)
	return s, err
}

func writeTemp(path string, content []byte, mode fs.FileMode) (string, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".segue-*.tmp")
	if err != nil {
		return "", err
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(temp.Name()))
	}
	return temp.Name(), nil
}

// commit makes the change in one step.
func (s *staged) commit() error {
	if s.temp == "" {
		return os.Remove(s.path)
	}
	err := os.Rename(s.temp, s.path)
	if err == nil {
		s.temp = ""
	}
	return err
}

// undo goes back after commit.
func (s *staged) undo() error {
	if s.before == nil {
		return os.Remove(s.path)
	}
	return writeFile(s.path, s.before, s.mode)
}

// drop removes what stage left and commit did not use.
func (s *staged) drop() error {
	if s.temp == "" {
		return nil
	}
	return os.Remove(s.temp)
}

// writeFile puts a file in place in one step, on disk when it returns.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	temp, err := writeTemp(path, content, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes renames in a folder last. Some file systems cannot, and then
// there is nothing better to do.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
