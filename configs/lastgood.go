package configs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lastGoodMagic opens a last good copy; the number is the version of its
// format. The line goes on with the SHA-256 of all that follows it.
const lastGoodMagic = "segue last good configuration 1 "

// maxLastGood bounds what LoadLastGood reads.
const maxLastGood = 1 << 30

type lastGoodFile struct {
	Source   string   `json:"source"`
	Snapshot Snapshot `json:"snapshot"`
}

// SaveLastGood keeps a snapshot in a folder, made with mode 0700 if it is not
// there, as the last good configuration of a source: any text that names the
// source and, where a cluster could be swapped for another, the cluster. The
// copy is complete on disk when it returns; a crash at any time leaves this
// one or the one before.
func SaveLastGood(dir, source string, s Snapshot) error {
	body, err := json.Marshal(lastGoodFile{source, s})
	if err != nil {
		return fmt.Errorf("encode last good configuration: %w", err)
	}
	sum := sha256.Sum256(body)
	text := append([]byte(lastGoodMagic+hex.EncodeToString(sum[:])+"\n"), body...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save last good configuration: %w", err)
	}
	if err := writeSynced(dir, lastGoodName(source), text); err != nil {
		return fmt.Errorf("save last good configuration: %w", err)
	}
	return nil
}

// LoadLastGood reads what SaveLastGood kept for that source. It returns false
// where nothing was kept, and false with an error where the copy is damaged,
// of another format or unreadable: then it counts as none. The snapshot says
// FromLastGood and is never authoritative.
func LoadLastGood(dir, source string) (Snapshot, bool, error) {
	s, err := readLastGood(filepath.Join(dir, lastGoodName(source)), source)
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, false, nil
	}
	if err != nil {
		return Snapshot{}, false, fmt.Errorf("last good configuration: %w", err)
	}
	s.FromLastGood, s.Authoritative = true, false
	return s, true, nil
}

func readLastGood(path, source string) (Snapshot, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Snapshot{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxLastGood {
		return Snapshot{}, errors.New("not a regular file of a sane size")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Snapshot{}, err
	}
	head, body, _ := bytes.Cut(text, []byte("\n"))
	want, ok := bytes.CutPrefix(head, []byte(lastGoodMagic))
	if !ok {
		return Snapshot{}, errors.New("not a copy in a format that this version of segue reads")
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != string(want) {
		return Snapshot{}, errors.New("damaged: the checksum does not match")
	}
	var file lastGoodFile
	if err := json.Unmarshal(body, &file); err != nil {
		return Snapshot{}, fmt.Errorf("damaged: %w", err)
	}
	if file.Source != source {
		return Snapshot{}, fmt.Errorf("belongs to another source, %q", file.Source)
	}
	return file.Snapshot, nil
}

func lastGoodName(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "lastgood-" + hex.EncodeToString(sum[:8])
}

// writeSynced puts a file in place in one step: written beside, synced,
// renamed, and the folder synced.
func writeSynced(dir, name string, text []byte) (err error) {
	tmp, err := os.CreateTemp(dir, "."+name+"-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	// The file is in place by now, so an error from here on leaves nothing to
	// remove; a folder that cannot be opened for sync is not a lost write.
	if d, derr := os.Open(dir); derr == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}
