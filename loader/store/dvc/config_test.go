package dvc

import (
	"strings"
	"testing"
)

func FuzzParseConfigTakesLinesApart(f *testing.F) {
	f.Add("[core]\n    remote = s\n['remote \"s\"']\n    url = s3://models/dvc\n")
	f.Add("# a comment\n[core]\nremote = \"a b\"\n[remote \"a b\"]\nurl = '../storage'\n")
	f.Add("[x\n=")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseConfig([]byte(text))
		if err != nil {
			return
		}
		for name := range r.settings {
			address, err := r.address(name)
			if err == nil && (address == "" || strings.ContainsAny(address, "\n") || !strings.Contains(text, address)) {
				t.Errorf("%q: remote %q lies at %q", text, name, address)
			}
		}
	})
}
