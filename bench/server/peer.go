package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// PeerOptions say how another server is started.
type PeerOptions struct {
	// Name is its folder in Folder, which holds serve.py and the pins of its
	// packages; Workers is what it takes that for.
	Folder, Name string
	Workers      int
	Options      []string
	// Models are the ONNX files that it serves, by name.
	Models map[string]string
	// Dir is an empty folder of its own.
	Dir string
}

// Peer is another server that answers the same requests.
type Peer struct {
	*Process
	Addr string
}

// PeerPython finds the Python that deploy/scripts/venv.sh has installed a
// peer's pinned packages for.
func PeerPython(folder, name string, getenv func(string) string) (string, error) {
	pins, err := os.ReadFile(filepath.Join(folder, name, "requirements.txt"))
	if err != nil {
		return "", fmt.Errorf("the pins of the peer %s: %w", name, err)
	}
	venv := filepath.Join(cacheFolder(getenv), "venv", fmt.Sprintf("peers-%s-%.6x", name, sha256.Sum256(pins)))
	if _, err := os.Stat(filepath.Join(venv, ".ready")); err != nil {
		return "", fmt.Errorf("the peer %s, which deploy/scripts/venv.sh bench/peers/%s installs: %w", name, name, err)
	}
	return filepath.Join(venv, "bin", "python"), nil
}

// PeerVersions lists the packages that a peer asks for, as they are pinned.
func PeerVersions(folder, name string) ([]string, error) {
	wanted, err := os.ReadFile(filepath.Join(folder, name, "requirements.in"))
	if err != nil {
		return nil, err
	}
	pins, err := os.ReadFile(filepath.Join(folder, name, "requirements.txt"))
	if err != nil {
		return nil, err
	}
	var names, versions []string
	for line := range strings.Lines(string(wanted)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			one, _, _ := strings.Cut(line, "==")
			names = append(names, one)
		}
	}
	for line := range strings.Lines(string(pins)) {
		if one, version, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), " \\"), "=="); ok && slices.Contains(names, one) {
			versions = append(versions, one+" "+version)
		}
	}
	return versions, nil
}

// StartPeer starts a peer. It may answer only some seconds later: Await says.
func StartPeer(o PeerOptions, python string) (*Peer, error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	addr := addresses[0]
	script, err := filepath.Abs(filepath.Join(o.Folder, o.Name, "serve.py"))
	if err != nil {
		return nil, err
	}
	arguments := []string{script, "--port", addr[strings.LastIndexByte(addr, ':')+1:], "--workers", strconv.Itoa(o.Workers), "--dir", o.Dir}
	arguments = append(arguments, o.Options...)
	for name, path := range o.Models {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, name+"="+absolute)
	}
	p := &Peer{Addr: addr}
	p.Process, err = start(nil, nil, append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), python, arguments...)
	return p, err
}

// Await calls ready until it returns nil, or the peer has ended, or it has had
// more time than any of them takes to start.
func (p *Peer) Await(ctx context.Context, ready func() error) error {
	return p.await(ctx, readyWithin, ready)
}
