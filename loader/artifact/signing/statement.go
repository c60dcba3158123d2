package signing

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://model_signing/signature/v1.0"
	// What releases before 1.0 wrote, with a flaw in what was signed.
	earlyPredicateType = "https://model_signing/Digests/v0.1"

	algorithm   = "sha256"
	methodFiles = "files"
	// How many files one complaint names.
	maxNamed = 5
)

// Resource is one signed file.
type Resource struct {
	// Name is its path in the folder, slash separated.
	Name string
	// SHA256 is its hash in lower-case hexadecimal digits.
	SHA256 string
}

// statement is the in-toto statement of model-signing.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	Resources     []resource    `json:"resources"`
	Serialization serialization `json:"serialization"`
}

type resource struct {
	Digest    string `json:"digest"`
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
}

// serialization says how the files were hashed.
type serialization struct {
	AllowSymlinks bool     `json:"allow_symlinks"`
	IgnorePaths   []string `json:"ignore_paths"`
	HashType      string   `json:"hash_type"`
	Method        string   `json:"method"`
}

// ignored are the paths that a signature of ours leaves out, as model-signing
// does by default: what Git keeps, and the signature itself.
func ignored() []string {
	return []string{".git", ".gitattributes", ".github", ".gitignore", FileName}
}

// readStatement returns the files of a statement whose signature is good.
func readStatement(payload []byte) ([]Resource, error) {
	var s statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, err
	}
	how := s.Predicate.Serialization
	switch {
	case s.Type != statementType:
		return nil, fmt.Errorf("is of type %q, want %s", clip(s.Type), statementType)
	case s.PredicateType == earlyPredicateType:
		return nil, errors.New("was written by a model-signing before 1.0: sign it again")
	case s.PredicateType != predicateType:
		return nil, fmt.Errorf("its predicate is %q, want %s", clip(s.PredicateType), predicateType)
	case len(s.Subject) != 1:
		return nil, fmt.Errorf("names %d subjects, want one", len(s.Subject))
	case how.Method != methodFiles:
		return nil, fmt.Errorf("signs %q, want whole files", clip(how.Method))
	case how.HashType != algorithm:
		return nil, fmt.Errorf("hashes with %q, want %s", clip(how.HashType), algorithm)
	}
	files := make([]Resource, len(s.Predicate.Resources))
	for i, r := range s.Predicate.Resources {
		if r.Algorithm != algorithm {
			return nil, fmt.Errorf("%s: hashed with %q, want %s", clip(r.Name), clip(r.Algorithm), algorithm)
		}
		files[i] = Resource{Name: r.Name, SHA256: strings.ToLower(r.Digest)}
	}
	root, err := rootDigest(files)
	if err != nil {
		return nil, err
	}
	if said := s.Subject[0].Digest[algorithm]; said != root {
		return nil, fmt.Errorf("contradicts itself: its files hash to %s, its subject says %s", root, clip(said))
	}
	return files, nil
}

// rootDigest is the SHA-256 of all the files' hashes in their order.
func rootDigest(files []Resource) (string, error) {
	all := sha256.New()
	for _, f := range files {
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return "", fmt.Errorf("%s: %q is not a SHA-256", clip(f.Name), clip(f.SHA256))
		}
		all.Write(sum)
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// writeStatement is the statement of a model's files. It says what
// model-signing's says; that one's fields come in an order of chance, so there
// are no bytes to be equal to.
func writeStatement(model string, files []Resource) ([]byte, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b Resource) int { return comparePaths(a.Name, b.Name) })
	root, err := rootDigest(files)
	if err != nil {
		return nil, err
	}
	s := statement{
		Type: statementType, Subject: []subject{{Name: model, Digest: map[string]string{algorithm: root}}},
		PredicateType: predicateType,
		Predicate:     predicate{Serialization: serialization{IgnorePaths: ignored(), HashType: algorithm, Method: methodFiles}},
	}
	for _, f := range files {
		s.Predicate.Resources = append(s.Predicate.Resources, resource{Digest: f.SHA256, Name: f.Name, Algorithm: algorithm})
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("write statement: %w", err)
	}
	return bytes.TrimSuffix(body.Bytes(), []byte{'\n'}), nil
}

// comparePaths orders names folder by folder, as model-signing orders paths.
func comparePaths(a, b string) int {
	return cmp.Or(slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")), cmp.Compare(a, b))
}

// Covers says how the files at hand differ from those signed, nil where they do
// not. Both must be the same set: a file that nobody signed is refused, and so is
// a signed one that is not at hand.
func (s *Signature) Covers(files []Resource) error {
	signed := make(map[string]string, len(s.files))
	for _, f := range s.files {
		if was, twice := signed[f.Name]; twice && was != f.SHA256 {
			return fmt.Errorf("%s is signed twice, with different hashes", clip(f.Name))
		}
		signed[f.Name] = f.SHA256
	}
	var unsigned, changed []string
	for _, f := range files {
		switch sum, ok := signed[f.Name]; {
		case !ok:
			unsigned = append(unsigned, clip(f.Name))
		case sum != f.SHA256:
			changed = append(changed, clip(f.Name))
		}
		delete(signed, f.Name)
	}
	var absent []string
	for name := range signed {
		absent = append(absent, clip(name))
	}
	var problems []error
	for _, p := range []struct {
		names []string
		what  string
	}{
		{changed, "changed since they were signed"},
		{unsigned, "not signed"},
		{absent, "signed, but not in the manifest: pack them, or sign with --ignore-paths"},
	} {
		if len(p.names) > 0 {
			problems = append(problems, fmt.Errorf("%s: %s", p.what, someOf(p.names)))
		}
	}
	return errors.Join(problems...)
}

func someOf(names []string) string {
	slices.Sort(names)
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	return strings.Join(names, ", ") + more
}
