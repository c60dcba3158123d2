package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/runtime"
)

// doublers are rows of the doubler's input around a mean.
func doublers(sig *runtime.Signature, n int, mean float64) runtime.Tensor {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	spec := sig.Inputs[0]
	t := runtime.Tensor{Name: spec.Name, Type: spec.Type, Shape: append([]int64{int64(n)}, spec.Shape[1:]...)}
	elements, _ := runtime.Elements(t.Shape)
	for range elements {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(float32(mean+random.NormFloat64())))
	}
	return t
}

func TestAProfileIsMadeOfWhatTheFleetHasCounted(t *testing.T) {
	t.Parallel()
	manifest := artifacttest.DoublerManifest()
	b, err := drift.NewBuilder(manifest.Signature, drift.Options{Model: "mozart"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add(drift.Rows{Inputs: []runtime.Tensor{doublers(manifest.Signature, 5000, 0)}}); err != nil {
		t.Fatal(err)
	}
	profile, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	body, err := profile.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := artifacttest.Pack(t, manifest, map[string][]byte{artifact.ModelFile: artifacttest.Doubler().Bytes(), artifact.ProfileFile: body})

	store := configstest.NewStore()
	store.Set("models/mozart", `{"model": "mozart", "versions": {"1": {"uri": "file:/a"}}, "drift": {}}`)
	store.Set("models/haydn", `{"model": "haydn", "versions": {"1": {"uri": "file:/a"}}}`)
	at := time.Date(2025, 3, 1, 11, 0, 0, 0, time.UTC)
	// The first gateway began anew: what its earlier life knew is in the newer.
	for i, life := range []struct {
		instance string
		rows     int
	}{{"gw-0", 700}, {"gw-0", 900}, {"gw-1", 300}} {
		w := profile.NewWindow()
		if err := w.Add([]runtime.Tensor{doublers(manifest.Signature, life.rows, 2)}, nil, 0); err != nil {
			t.Fatal(err)
		}
		encoded, err := w.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		_, err = configs.PutDriftCounts(t.Context(), store, configs.DriftCounts{Model: "mozart", Epoch: fmt.Sprintf("%s-%d", life.instance, i), Instance: life.instance,
			At: at.Add(time.Duration(i) * time.Minute), Streams: []configs.DriftStream{{Name: configs.DriftStreamOf("1"), Window: 1, Counts: map[string][]byte{}, Day: encoded}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "live.json")
	r := newRun(store)
	if code := r.code(t, "profile", "--from-live", "mozart/1", "--artifact", dir, "-o", out); code != exitDone {
		t.Fatalf("exit code %d, %s", code, &r.stderr)
	}
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	live, err := drift.Parse(made)
	if err != nil {
		t.Fatal(err)
	}
	if live.Samples != 1200 || !strings.Contains(live.Source, "live requests of mozart version 1") || !strings.Contains(r.stdout.String(), "from 1200 rows") {
		t.Errorf("%d samples, source %q, said %s", live.Samples, live.Source, &r.stdout)
	}
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"--from-live", "mozart"}, exitUsage, "MODEL/VERSION"},
		{[]string{"--from-live", "mozart/1", "data.csv"}, exitUsage, "a profile is made of DATA"},
		{nil, exitUsage, "a profile is made of DATA"},
		{[]string{"--from-live", "mozart/2"}, exitFailed, "nothing has been counted of version 2"},
		{[]string{"--from-live", "haydn/1"}, exitFailed, "no drift block"},
		{[]string{"--from-live", "bach/1"}, exitFailed, "there is no model bach"},
	} {
		r := newRun(store)
		args := append([]string{"profile", "--artifact", dir, "-o", filepath.Join(t.TempDir(), "x.json")}, c.args...)
		if code := r.code(t, args...); code != c.want || !strings.Contains(r.stderr.String(), c.says) {
			t.Errorf("%q: exit code %d, %s", c.args, code, &r.stderr)
		}
	}
}
