package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// GatewayOptions say how a gateway is started.
type GatewayOptions struct {
	// Binary is the program, Source the value of --config.
	Binary, Source string
	// Dir is an empty folder of its own, for its state and its Unix socket.
	Dir string
	// Env is set beside this program's own environment.
	Env map[string]string
}

// Gateway is a running gateway with all its listeners on.
type Gateway struct {
	*Process
	// Addr, GRPC and Socket are where the data API listens.
	Addr, GRPC, Socket string

	metrics string
}

const readyWithin = 60 * time.Second

// StartGateway starts a gateway and waits until it is ready.
func StartGateway(ctx context.Context, o GatewayOptions) (*Gateway, error) {
	addresses, err := freeAddresses(4)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Addr: addresses[0], GRPC: addresses[3], Socket: filepath.Join(o.Dir, "data.sock"), metrics: addresses[1]}
	env := os.Environ()
	for name, value := range o.Env {
		env = append(env, name+"="+value)
	}
	g.Process, err = start(nil, nil, env, o.Binary, "serve", "--config", o.Source, "--state-dir", filepath.Join(o.Dir, "state"),
		"--http-addr", g.Addr, "--grpc-addr", g.GRPC, "--unix-socket", g.Socket, "--metrics-addr", g.metrics, "--admin-addr", addresses[2], "--shutdown-delay", "0s")
	if err != nil {
		return nil, err
	}
	err = g.await(ctx, readyWithin, func() error {
		_, err := call("GET", "http://"+g.Addr+"/v2/health/ready", nil)
		return err
	})
	if err != nil {
		g.Stop()
		return nil, err
	}
	return g, nil
}

// AwaitVersion waits until a version would answer: the gateway is ready before
// every version of a model is.
func (g *Gateway) AwaitVersion(ctx context.Context, model, version string) error {
	return g.await(ctx, readyWithin, func() error {
		_, err := call("GET", "http://"+g.Addr+"/v2/models/"+model+"/versions/"+version+"/ready", nil)
		return err
	})
}

// Address returns the network and address of a transport, "tcp" or "unix".
func (g *Gateway) Address(transport string) (network, addr string) {
	if transport == "unix" {
		return "unix", g.Socket
	}
	return "tcp", g.Addr
}

// Versions returns what the gateway says about its own version and that of
// ONNX Runtime.
func (g *Gateway) Versions() (segue, onnxruntime string, err error) {
	text, err := call("GET", "http://"+g.metrics+"/metrics", nil)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(text)) {
		if labels, ok := strings.CutPrefix(line, "segue_build_info{"); ok {
			return label(labels, "version"), label(labels, "onnxruntime"), nil
		}
	}
	return "", "", errors.New("the gateway's metrics do not say its version")
}

// label reads one label out of a series.
func label(labels, name string) string {
	for part := range strings.SplitSeq(labels, ",") {
		if value, ok := strings.CutPrefix(part, name+`="`); ok {
			value, _, _ = strings.Cut(value, `"`)
			return value
		}
	}
	return ""
}

// Artifact is where a version lies and what it must be, as a document says it.
type Artifact struct {
	URI    string `json:"uri"`
	Digest string `json:"digest"`
}

// NewArtifact describes the artifact in a folder, pinned by its digest.
func NewArtifact(dir string) (Artifact, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return Artifact{}, err
	}
	manifest, err := os.ReadFile(filepath.Join(path, "manifest.json"))
	if err != nil {
		return Artifact{}, err
	}
	return Artifact{"file:" + path, fmt.Sprintf("sha256:%x", sha256.Sum256(manifest))}, nil
}

// Document writes a model's document with plain weights.
func Document(model string, versions map[string]Artifact, weights map[string]int) []byte {
	return document(map[string]any{"model": model, "versions": versions, "traffic": map[string]any{"weights": weights}})
}

// WatchedDocument is Document for a model whose drift is watched as the block
// says.
func WatchedDocument(model string, versions map[string]Artifact, weights map[string]int, drift map[string]any) []byte {
	return document(map[string]any{"model": model, "versions": versions, "traffic": map[string]any{"weights": weights}, "drift": drift})
}

func document(fields map[string]any) []byte {
	text, err := json.Marshal(fields)
	if err != nil {
		panic("server: a document of strings and numbers cannot be written: " + err.Error())
	}
	return text
}

// WriteDocuments makes a folder of documents for a gateway that follows no
// Consul.
func WriteDocuments(dir string, documents map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for model, text := range documents {
		if err := os.WriteFile(filepath.Join(dir, model+".json"), text, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "_settings.json"), []byte(settings), 0o644)
}

// settings are those of the whole gateway: its defaults.
const settings = `{"schema": 1}`
