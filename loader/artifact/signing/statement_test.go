package signing

import (
	"strings"
	"testing"
)

func TestAContradictoryStatementIsRefused(t *testing.T) {
	files := []Resource{{Name: "a", SHA256: strings.Repeat("0", 64)}, {Name: "b", SHA256: strings.Repeat("1", 64)}}
	good, err := writeStatement("m", files)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readStatement(good); err != nil || len(got) != 2 {
		t.Fatalf("got %v and %v", got, err)
	}
	zeros, ones := files[0].SHA256, files[1].SHA256
	for _, c := range []struct{ old, new, want string }{
		{"in-toto.io/Statement/v1", "in-toto.io/Statement/v0.1", `is of type "https://in-toto.io/Statement/v0.1"`},
		{predicateType, earlyPredicateType, "was written by a model-signing before 1.0: sign it again"},
		{predicateType, "https://slsa.dev/provenance/v1", `its predicate is "https://slsa.dev/provenance/v1"`},
		{`"subject": [`, `"subject": [{"name": "n"},`, "names 2 subjects"},
		{`"algorithm": "sha256"`, `"algorithm": "blake2b"`, `a: hashed with "blake2b"`},
		{`"files"`, `"shards"`, `signs "shards"`},
		{`"hash_type": "sha256"`, `"hash_type": "blake3"`, `hashes with "blake3"`},
		{zeros, ones, "contradicts itself"},
		{zeros, zeros[1:], "a: "},
		{zeros, "g" + zeros[1:], "is not a SHA-256"},
		{"{", "", "invalid character"},
	} {
		_, err := readStatement([]byte(strings.Replace(string(good), c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s → %s: got %v, want …%s…", c.old, c.new, err, c.want)
		}
	}
}

func TestAFileSignedTwiceCoversNothing(t *testing.T) {
	one, other := Resource{Name: "a", SHA256: strings.Repeat("0", 64)}, Resource{Name: "a", SHA256: strings.Repeat("1", 64)}
	s := Signature{files: []Resource{one, other}}
	for _, file := range []Resource{one, other} {
		if err := s.Covers([]Resource{file}); err == nil || err.Error() != "a is signed twice, with different hashes" {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzReadStatement(f *testing.F) {
	good, err := writeStatement("m", []Resource{{Name: "a/b", SHA256: strings.Repeat("0", 64)}, {Name: "a.b", SHA256: strings.Repeat("f", 64)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(strings.ReplaceAll(string(good), "f", "F")))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":[null],"serialization":{"method":"files","hash_type":"sha256"}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		files, err := readStatement(payload)
		if err != nil {
			return
		}
		written, err := writeStatement("m", files)
		if err != nil {
			t.Fatalf("%v does not write: %v", files, err)
		}
		again, err := readStatement(written)
		if err != nil || len(again) != len(files) {
			t.Errorf("%s does not read back: %v", written, err)
		}
		s := Signature{files: files}
		if err := s.Covers(again); err != nil && !strings.Contains(err.Error(), "signed twice") {
			t.Errorf("%v does not cover itself: %v", files, err)
		}
	})
}
