package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
)

// requests is a folder of inference requests: .json as over HTTP, and .bin
// with binary tensor data after the JSON.
type requests struct {
	signature *runtime.Signature
	folder    string
	names     []string
	done      int
	request   oip.InferRequest
}

func openRequests(folder string, signature *runtime.Signature) (Dataset, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	d := &requests{signature: signature, folder: folder}
	for _, e := range entries {
		if ending := filepath.Ext(e.Name()); !e.IsDir() && (ending == ".json" || ending == ".bin") {
			d.names = append(d.names, e.Name())
		}
	}
	if slices.Sort(d.names); len(d.names) == 0 {
		return nil, fmt.Errorf("%s: no request in it: want files ending in .json or .bin", filepath.Base(folder))
	}
	return d, nil
}

type heap struct{}

func (heap) Input(_ int, _ []int64, size int) ([]byte, error) { return make([]byte, size), nil }

func (d *requests) Next() (Batch, error) {
	if d.done == len(d.names) {
		return Batch{}, io.EOF
	}
	name := d.names[d.done]
	d.done++
	body, err := readBounded(filepath.Join(d.folder, name))
	if err != nil {
		return Batch{}, fmt.Errorf("%s: %w", name, err)
	}
	b, err := decodeRequest(&d.request, d.signature, body, filepath.Ext(name) == ".bin")
	if err != nil {
		return Batch{}, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func decodeRequest(r *oip.InferRequest, signature *runtime.Signature, body []byte, binary bool) (Batch, error) {
	header := -1
	if binary {
		dec := json.NewDecoder(bytes.NewReader(body))
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return Batch{}, err
		}
		header = int(dec.InputOffset())
	}
	limits := oip.Limits{MaxTensorBytes: MaxRowBytes}
	if err := oip.DecodeInfer(r, signature, body, header, limits, heap{}); err != nil {
		return Batch{}, err
	}
	b := Batch{Inputs: r.Inputs, Rows: 1}
	if signature.Batches() && len(r.Inputs) > 0 {
		b.Rows = int(r.Inputs[0].Shape[0])
	}
	return b, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, MaxRowBytes+1))
	if err == nil && len(body) > MaxRowBytes {
		err = fmt.Errorf("more than the %d bytes allowed", MaxRowBytes)
	}
	return body, err
}

func (d *requests) Progress() (done, total int64) { return int64(d.done), int64(len(d.names)) }

func (d *requests) Close() error { return nil }
