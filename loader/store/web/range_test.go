package web

import (
	"fmt"
	"testing"
)

func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 5-9/10", "bytes 0-0/*", "bytes */10", "bytes 9-5/3", "bytes -5-9/10", "items 1-2/3", "bytes 99999999999999999999-1/2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		offset, size, err := contentRange(text)
		if err == nil && (offset < 0 || size != -1 && size < offset) {
			t.Errorf("%q: %d of %d", text, offset, size)
		}
	})
}

func TestContentRanges(t *testing.T) {
	for text, want := range map[string]string{
		"bytes 5-9/10": "5 10 true", "bytes 0-0/*": "0 -1 true", "bytes */10": "0 0 false", "bytes 9-9/3": "0 0 false", "": "0 0 false",
	} {
		offset, size, err := contentRange(text)
		if got := fmt.Sprint(offset, size, err == nil); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
