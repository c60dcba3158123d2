package file

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// index counts changes: every key whose content is another than at the last
// look gets the next number. It is kept as JSON in the state folder.
type index struct {
	Format int `json:"format"`
	// Folder is for people who look into the state folder.
	Folder string `json:"folder"`
	// Last is the highest number given so far.
	Last uint64              `json:"last"`
	Keys map[string]indexKey `json:"keys"`
}

type indexKey struct {
	Index uint64 `json:"index"`
	// Sum is of the content, or of the problem in its place.
	Sum string `json:"sha256"`
	// Tool says that seguectl wrote this content.
	Tool bool `json:"tool,omitempty"`
}

const indexFormat = 1

func newIndex(folder string) *index {
	return &index{Format: indexFormat, Folder: folder, Keys: map[string]indexKey{}}
}

// decodeIndex reads what encode wrote. A damaged one is replaced by one that
// starts at the time in seconds: whatever was counted before is lower.
func decodeIndex(text []byte, folder string, now time.Time) (*index, error) {
	x := newIndex(folder)
	err := json.Unmarshal(text, x)
	if err == nil && x.Format != indexFormat {
		err = fmt.Errorf("format %d", x.Format)
	}
	if err != nil || x.Keys == nil {
		x = newIndex(folder)
		x.Last = uint64(now.Unix())
	}
	return x, err
}

func (x *index) encode() []byte {
	text, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		panic(fmt.Sprintf("configs/file: encode index: %v", err))
	}
	return append(text, '\n')
}

func (x *index) clone() *index {
	c := *x
	c.Keys = maps.Clone(x.Keys)
	return &c
}

// note compares a key's content with the last look's and gives it the number
// next where it changed. A change that nobody announced is no tool's.
func (x *index) note(key, sum string, next uint64, tool bool) {
	if old, ok := x.Keys[key]; ok && old.Sum == sum {
		return
	}
	x.Keys[key] = indexKey{next, sum, tool}
	x.Last = max(x.Last, next)
}

func (d document) sum() string {
	if d.problem != "" {
		return sumOf([]byte("problem: " + d.problem))
	}
	return sumOf(d.value)
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// versionOf is the index of keys that nobody watches, audit, status and
// evidence: it tells one content from another, for check-and-set, and does not
// grow.
func versionOf(value []byte) uint64 {
	sum := sha256.Sum256(value)
	return binary.BigEndian.Uint64(sum[:]) | 1
}
