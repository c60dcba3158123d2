package gateway

import (
	"context"
	"testing"

	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

// warmed makes an executor's instance one of the loader's.
type warmed struct{ *batch.Instance }

func (warmed) Warm(context.Context, int) ([]string, error) { return nil, nil }

// newResident brings an instance to life through a loader of its own. What it
// returns lets the version go again.
func newResident(t testing.TB, instance *batch.Instance) (resident *loader.Resident, unload func()) {
	t.Helper()
	sig := instance.Signature()
	model := artifacttest.Model{Inputs: values(sig.Inputs), Outputs: values(sig.Outputs), Nodes: [][]byte{artifacttest.Node()}}
	wanted := loader.Wanted{Model: "m", Version: "1", URI: "file:" + artifacttest.Folder(t, map[string][]byte{"model.onnx": model.Bytes()})}
	changed := make(chan struct{}, 1)
	manager := loader.New(loader.Options{
		Stores: store.NewRegistry(map[string]store.Store{"file": store.File{}}, nil),
		Open:   func(context.Context, loader.OpenRequest) (loader.Instance, error) { return warmed{instance}, nil },
		OnChange: func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	manager.SetWanted([]loader.Wanted{wanted})
	for {
		<-changed
		resident, status := manager.Lookup(wanted)
		if status.State == loader.StateFailed {
			t.Fatalf("version not loaded: %s", status.Reason)
		}
		if resident != nil {
			return resident, func() { manager.SetWanted(nil) }
		}
	}
}

// values are a signature's tensors as an ONNX model declares them.
func values(specs []runtime.TensorSpec) []artifacttest.Value {
	types := map[runtime.DataType]uint64{runtime.FP32: 1, runtime.UINT8: 2, runtime.INT8: 3, runtime.UINT16: 4, runtime.INT16: 5, runtime.INT32: 6,
		runtime.INT64: 7, runtime.BYTES: 8, runtime.BOOL: 9, runtime.FP16: 10, runtime.FP64: 11, runtime.UINT32: 12, runtime.UINT64: 13, runtime.BF16: 16}
	var values []artifacttest.Value
	for _, s := range specs {
		values = append(values, artifacttest.Value{Name: s.Name, ElemType: types[s.Type], Shape: s.Shape})
	}
	return values
}
