package gateway

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// scrape reads what a scraper gets that asks for a format.
func scrape(t *testing.T, g prometheus.Gatherer, accept string) map[string]*dto.MetricFamily {
	t.Helper()
	request := httptest.NewRequest("GET", "/metrics", nil)
	request.Header.Set("Accept", accept)
	recorder := httptest.NewRecorder()
	metricsHandler(g).ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		t.Fatalf("%d %s", recorder.Code, recorder.Body)
	}
	families := map[string]*dto.MetricFamily{}
	decoder := expfmt.NewDecoder(recorder.Body, expfmt.ResponseFormat(recorder.Header()))
	for {
		f := &dto.MetricFamily{}
		err := decoder.Decode(f)
		if err == io.EOF {
			return families
		}
		if err != nil {
			t.Fatal(err)
		}
		families[f.GetName()] = f
	}
}

const protobufFormat = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

// nativeCounts is how many observations the buckets hold, by upper bound.
func nativeCounts(h *dto.Histogram) map[float64]int64 {
	counts := map[float64]int64{}
	at, n, index := 0, int64(0), int32(0)
	for _, span := range h.PositiveSpan {
		index += span.GetOffset()
		for range span.GetLength() {
			n += h.PositiveDelta[at]
			counts[math.Exp2(float64(index)/math.Exp2(float64(h.GetSchema())))] += n
			at++
			index++
		}
	}
	return counts
}

func TestNativeHistogramsAreThereOnlyWhereAskedFor(t *testing.T) {
	values := []int64{0, 500, 953, 954, 3000, 1_000_000, 25_000_000, 999_999_999, 1_000_000_000, 5_000_000_000, 1 << 50}
	for _, native := range []bool{false, true} {
		registry := prometheus.NewPedanticRegistry()
		m := NewMetrics(registry)
		if native {
			m.NativeHistograms()
		}
		v := m.version("mozart", "1", "stable")
		for i, value := range values {
			v.observe(uint8(i), stageRequest, value)
		}
		for _, rows := range []int64{1, 2, 3, 32, 32} {
			v.observe(0, stageBatch, rows)
		}
		families := scrape(t, registry, protobufFormat)
		h := families["segue_request_duration_seconds"].Metric[0].Histogram
		if len(h.Bucket) != len(longBounds) || h.GetSampleCount() != uint64(len(values)) {
			t.Errorf("native %v: %d buckets, %d observations", native, len(h.Bucket), h.GetSampleCount())
		}
		if text := scrape(t, registry, "text/plain")["segue_request_duration_seconds"].Metric[0].Histogram; len(text.Bucket) != len(longBounds)+1 {
			t.Errorf("native %v: %d buckets as text", native, len(text.Bucket))
		}
		if !native {
			if h.Schema != nil || len(h.PositiveSpan) > 0 {
				t.Errorf("unasked: %v", h)
			}
			continue
		}
		total := int64(h.GetZeroCount())
		for bound, n := range nativeCounts(h) {
			in := int64(0)
			for _, value := range values {
				s := float64(value) / 1e9
				if s > h.GetZeroThreshold() && s <= bound && s > bound/math.Exp2(1./8) || value == 1<<50 && bound == 64 {
					in++
				}
			}
			if n != in && n > 0 {
				t.Errorf("%d observations up to %g s, want %d", n, bound, in)
			}
			total += n
		}
		if total != int64(len(values)) || h.GetZeroCount() != 2 {
			t.Errorf("%d observations in buckets, %d of them zero", total, h.GetZeroCount())
		}
		rows := nativeCounts(families["segue_batch_size_rows"].Metric[0].Histogram)
		if rows[1] != 1 || rows[2] != 1 || rows[32] != 2 {
			t.Errorf("rows %v", rows)
		}
	}
}
