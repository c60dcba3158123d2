package configs

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func snapshot() Snapshot {
	return Snapshot{
		Index:         7,
		Models:        map[string]Entry{"mozart": {Name: "mozart", Value: []byte("model: mozart\n\xff"), Index: 6, Where: "models/mozart", WrittenByTool: true}},
		Overrides:     map[string]Entry{"mozart": {Name: "mozart", Value: []byte("{}"), Index: 7}},
		Settings:      &Entry{Name: "settings", Value: []byte("schema: 1"), Index: 1},
		Authoritative: true,
	}
}

func TestLastGoodCopySurvives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	if _, ok, err := LoadLastGood(dir, "consul:segue/prod"); ok || err != nil {
		t.Fatalf("from nothing: %v, %v", ok, err)
	}
	for range 2 {
		if err := SaveLastGood(dir, "consul:segue/prod", snapshot()); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := LoadLastGood(dir, "consul:segue/prod")
	if !ok || err != nil {
		t.Fatalf("got %v, %v", ok, err)
	}
	want := snapshot()
	want.Authoritative, want.FromLastGood = false, true
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if _, ok, err := LoadLastGood(dir, "consul:segue/test"); ok || err != nil {
		t.Errorf("of another source: %v, %v", ok, err)
	}
	files, _ := os.ReadDir(dir)
	if len(files) != 1 {
		t.Errorf("left %v behind", files)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("readable by others: %v, %v", info.Mode(), err)
	}
}

func TestDamagedLastGoodCopyCountsAsNone(t *testing.T) {
	dir := t.TempDir()
	if err := SaveLastGood(dir, "s", snapshot()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, lastGoodName("s"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := func(text []byte, want string) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, ok, err := LoadLastGood(dir, "s")
		if ok || err == nil || !strings.Contains(err.Error(), want) || !reflect.DeepEqual(s, Snapshot{}) {
			t.Errorf("got %v, %v, want %s", ok, err, want)
		}
	}
	f(nil, "format")
	f(whole[:len(whole)-1], "checksum")
	f(bytes.Replace(whole, []byte(`"Index":7`), []byte(`"Index":8`), 1), "checksum")
	f(bytes.Replace(whole, []byte("configuration 1"), []byte("configuration 2"), 1), "format")
	for i := range whole {
		if err := os.WriteFile(path, whole[:i], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := LoadLastGood(dir, "s"); ok || err == nil {
			t.Fatalf("cut to %d bytes it was taken: %v", i, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := LoadLastGood(dir, "s"); ok || err == nil {
		t.Errorf("a folder: %v, %v", ok, err)
	}
}

func TestLastGoodOfOneSourceIsNotAnothers(t *testing.T) {
	dir := t.TempDir()
	if err := SaveLastGood(dir, "a", snapshot()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, lastGoodName("a")), filepath.Join(dir, lastGoodName("b"))); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := LoadLastGood(dir, "b"); ok || err == nil || !strings.Contains(err.Error(), `another source, "a"`) {
		t.Errorf("got %v, %v", ok, err)
	}
}
