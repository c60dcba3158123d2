package gateway

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPredictionIDCarriesWhatItWasMadeOf(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_123).UTC()
	urlSafe := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	for name, key := range map[string][]byte{"checksum": nil, "mac": []byte("0123456789abcdef")} {
		t.Run(name, func(t *testing.T) {
			maker := newIDMaker(key)
			names := hashNames(strings.Repeat("m", 128), strings.Repeat("9", 128), "canary")
			note := idNote{class: 6, step: 3, unit: mask40 - 7}
			id := string(maker.append(nil, names, note, now))
			if !urlSafe.MatchString(id) {
				t.Errorf("id %q is not at most 64 URL-safe characters", id)
			}
			got, err := maker.parse(id)
			if err != nil {
				t.Fatal(err)
			}
			if got.at != now || got.names != names || got.note != note {
				t.Errorf("parsed %+v, want time %v and names %+v", got, now, names)
			}
			if got.names == hashNames("mozart", "1", "stable") {
				t.Error("another prediction's names match")
			}
		})
	}
}

func TestPredictionIDsAreUnique(t *testing.T) {
	maker, now := newIDMaker(nil), time.UnixMilli(1)
	seen := map[string]bool{}
	for range 10_000 {
		id := string(maker.append(nil, hashNames("m", "1", "stable"), idNote{}, now))
		if seen[id] {
			t.Fatalf("id %s was made twice", id)
		}
		seen[id] = true
	}
	if one, other := newIDMaker(nil), newIDMaker(nil); one.next.Load() == other.next.Load() {
		t.Error("two processes start at the same number")
	}
}

func TestPredictionIDOfOthersIsRefused(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_123)
	names := hashNames("mozart", "2", "canary")
	plain, signed := newIDMaker(nil), newIDMaker([]byte("0123456789abcdef"))
	plainID, signedID := string(plain.append(nil, names, idNote{}, now)), string(signed.append(nil, names, idNote{}, now))
	flip := func(id string, at int) string {
		c := byte('A')
		if id[at] == 'A' {
			c = 'B'
		}
		return id[:at] + string(c) + id[at+1:]
	}
	for _, c := range []struct {
		name  string
		maker *idMaker
		id    string
		want  error
	}{
		{"empty", plain, "", errNotAPredictionID},
		{"cut", plain, plainID[1:], errNotAPredictionID},
		{"not base64", plain, "*" + plainID[1:], errNotAPredictionID},
		{"line ends inside", plain, plainID + strings.Repeat("\n", idMACChars-idChecksumChars), errNotAPredictionID},
		{"mistyped", plain, flip(plainID, 20), errNotAPredictionID},
		{"other format", plain, flip(plainID, 0), errNotAPredictionID},
		{"tampered MAC", signed, flip(signedID, 20), errForeignID},
		{"MAC of another key", newIDMaker([]byte("fedcba9876543210")), signedID, errForeignID},
		{"unsigned where a key is set", signed, plainID, errForeignID},
		{"signed where no key is set", plain, signedID, errForeignID},
	} {
		if _, err := c.maker.parse(c.id); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestFeedbackKeyIsReadFromItsFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if key, err := readFeedbackKey(write("good", "0123456789abcdef\n")); err != nil || string(key) != "0123456789abcdef" {
		t.Errorf("key %q, error %v", key, err)
	}
	if _, err := readFeedbackKey(write("short", "0123\n")); err == nil {
		t.Error("a short key was taken")
	}
	if _, err := readFeedbackKey(filepath.Join(dir, "absent")); err == nil {
		t.Error("a missing file was taken")
	}
}

func FuzzPredictionID(f *testing.F) {
	maker := newIDMaker(nil)
	f.Add(string(maker.append(nil, hashNames("m", "1", "stable"), idNote{}, time.UnixMilli(1))))
	f.Add(strings.Repeat("A", 64))
	f.Fuzz(func(t *testing.T, id string) {
		if got, err := maker.parse(id); err == nil && got.at.UnixMilli() < 0 {
			t.Errorf("id %q has time %v", id, got.at)
		}
	})
}
