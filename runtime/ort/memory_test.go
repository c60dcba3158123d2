package ort

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// TestSwapsLeaveNoMemoryBehind opens, runs and closes a model of 8 MiB many
// times, 1,000 with SEGUE_SOAK=1. Without the trim threshold and the trim after
// a close, the resident set is at 62, 114 and 171 MiB after 2, 20 and 200
// rounds; with them it stays at 34 to 36.
func TestSwapsLeaveNoMemoryBehind(t *testing.T) {
	engine := openEngine(t)
	path := runtimetest.Model(t, "large")
	inputs := runtimetest.Place(t, runtimetest.Pattern("x", runtime.FP32, []int64{8, 1024}))
	round := func() {
		session, err := engine.Open(context.Background(), path, runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		res, err := session.Run(context.Background(), inputs, nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
		closeSession(t, session)
	}
	rounds := 100
	if os.Getenv("SEGUE_SOAK") == "1" {
		rounds = 1000
	}
	var resident []int64
	for i := range rounds {
		round()
		if i == 1 || i == 19 || i == rounds-1 {
			resident = append(resident, residentBytes(t)>>20)
		}
	}
	t.Logf("MiB resident after 2, 20 and %d rounds: %v", rounds, resident)
	for i := 1; i < len(resident); i++ {
		if float64(resident[i]) > 1.25*float64(resident[i-1]) {
			t.Errorf("MiB resident after 2, 20 and %d rounds: %v, want each at most 1.25 times the one before", rounds, resident)
		}
	}
}

func residentBytes(t *testing.T) int64 {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestWhatALargeRunTookCanBeGivenBack(t *testing.T) {
	session, err := openEngine(t).Open(t.Context(), runtimetest.Model(t, "large"), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSession(t, session)
	one := runtimetest.Place(t, runtimetest.Pattern("x", runtime.FP32, []int64{1, 1024}))
	run := func(inputs []runtime.Tensor) []byte {
		res, err := session.Run(t.Context(), inputs, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Release()
		return append([]byte(nil), res.Tensors[0].Data...)
	}
	want, before := run(one), residentBytes(t)
	run(runtimetest.Place(t, runtimetest.Pattern("x", runtime.FP32, []int64{16 << 10, 1024})))
	grown := residentBytes(t)
	if err := session.(runtime.Trimmer).Trim(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	after := residentBytes(t)
	t.Logf("MiB resident: %d, %d behind a large run, %d behind Trim", before>>20, grown>>20, after>>20)
	if grown-after < 60<<20 {
		t.Errorf("Trim gave back %d of %d bytes", grown-after, grown-before)
	}
	if got := run(one); string(got) != string(want) {
		t.Error("behind Trim the model answers otherwise")
	}
}
