package gateway

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/time/rate"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

const (
	answered  = `{"id":"a","model_name":"mozart","model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"data":[2.0,4.0,6.0]}]}`
	infer     = "/v2/models/mozart/infer"
	predict   = "/v1/models/mozart:predict"
	jsonType  = "Content-Type: application/json"
	instances = `{"instances":[[1,2,3]]}`
)

func TestPredictionsAreAnswered(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.send("POST", infer, rowsOf(1), jsonType).want(t, 200, answered)
	g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	g.send("POST", "/v2/models/moz%61rt/infer", rowsOf(1)).want(t, 200, answered)
	g.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1)).want(t, 200, strings.Replace(answered, `"1"`, `"2"`, 1))
	g.send("POST", predict, instances, jsonType).want(t, 200, `{"model_version":"1","predictions":[[2.0,4.0,6.0]]}`)
	g.send("POST", "/v1/models/mozart/versions/2:predict", `{"inputs":[[1,2,3]]}`).want(t, 200, `{"model_version":"2","outputs":[[2.0,4.0,6.0]]}`)
}

func TestEveryRefusalOfAPredictionSaysWhatWasWrong(t *testing.T) {
	g := newTestGateway(t)
	failing := func(err error) *runtimetest.Fake {
		m := doubler()
		m.Func = func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) { return nil, err }
		return m
	}
	infinite := doubler()
	infinite.Func = func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
		return []runtime.Tensor{runtimetest.FP32("y", in[0].Shape, 1, float32(math.Inf(1)), 2)}, nil
	}
	sticky := g.model("sticky", version{name: "1", weight: 1, model: doubler()})
	sticky.stickyHeader, sticky.stickyRequired = "X-User-Id", true
	limited := g.model("limited", version{name: "1", weight: 1, model: doubler()})
	limited.limiter = rate.NewLimiter(0.5, 0)
	g.put(
		g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", state: loader.StateFailed}, version{name: "3"}),
		g.model("waiting", version{name: "1"}),
		g.model("broken", version{name: "1", weight: 1, model: failing(errors.New("node /secret/path exploded"))}),
		g.model("picky", version{name: "1", weight: 1, model: failing(fmt.Errorf("%w: Gather: idx=9 is out of range", runtime.ErrInvalidArgument))}),
		g.model("infinite", version{name: "1", weight: 1, model: infinite}), sticky, limited)
	big := `{"inputs":[` + strings.Repeat(" ", 1<<20) + `]}`
	for _, c := range []struct {
		name, path, body, header string
		status                   int
		says                     string
	}{
		{"malformed", infer, `{"inputs":[}`, "", 400, "malformed JSON at byte 11: found '}', expected an object"},
		{"nothing", infer, "", "", 400, "malformed JSON at byte 0: the text ends, expected an object"},
		{"missing input", infer, `{"inputs":[]}`, "", 400, `input "x" is missing`},
		{"too many rows", infer, rowsOf(5), "", 400, `input "x": shape [5,3] has 5 rows, over the limit of 4`},
		{"header length", infer, rowsOf(1), "Inference-Header-Content-Length: x", 400, `Inference-Header-Content-Length must be a number of bytes, not "x"`},
		{"empty header length", infer, rowsOf(1), "Inference-Header-Content-Length: ", 400, `Inference-Header-Content-Length must be a number of bytes, not ""`},
		{"header length too long", infer, `{}`, "Inference-Header-Content-Length: 3", 400, "Inference-Header-Content-Length is 3, but the body has 2 bytes"},
		{"header length far too long", infer, `{}`, "Inference-Header-Content-Length: 99999999999999999999999", 400, "Inference-Header-Content-Length is 9223372036854775807, but the body has 2 bytes"},
		{"timeout", infer, rowsOf(1), "X-Request-Timeout-Ms: soon", 400, `X-Request-Timeout-Ms must be a positive number of milliseconds, not "soon"`},
		{"no timeout", infer, rowsOf(1), "X-Request-Timeout-Ms: 0", 400, `X-Request-Timeout-Ms must be a positive number of milliseconds, not "0"`},
		{"sticky", "/v2/models/sticky/infer", rowsOf(1), "", 400, `model "sticky" needs the header X-User-Id`},
		{"engine refuses", "/v2/models/picky/infer", rowsOf(1), "", 400, "the model refused the values of the inputs: Gather: idx=9 is out of range"},
		{"corrupt gzip", infer, "no gzip", "Content-Encoding: gzip", 400, "the body is not valid gzip"},
		{"V1 malformed", predict, `{"instances":[[1,2,"a"]]}`, "", 400, `input "x": element 2 at byte 19 is a string, want a number`},
		{"unknown model", "/v2/models/haydn/infer", rowsOf(1), "", 404, `unknown model "haydn"`},
		{"unknown model, V1", "/v1/models/haydn:predict", instances, "", 404, `unknown model "haydn"`},
		{"unknown version", "/v2/models/mozart/versions/9/infer", rowsOf(1), "", 404, `model "mozart" has no version "9"`},
		{"body", infer, big, "", 413, "the body is over the limit of 1048576 bytes"},
		{"content type", infer, rowsOf(1), "Content-Type: text/xml", 415, `unsupported Content-Type "text/xml": want application/json`},
		{"binary to V1", predict, instances, "Content-Type: application/octet-stream", 415, `unsupported Content-Type "application/octet-stream": want application/json`},
		{"content encoding", infer, rowsOf(1), "Content-Encoding: br", 415, `unsupported Content-Encoding "br": want gzip, deflate or zstd`},
		{"two content encodings", infer, rowsOf(1), "Content-Encoding: gzip, gzip", 415, `unsupported Content-Encoding "gzip, gzip": want gzip, deflate or zstd`},
		{"rate", "/v2/models/limited/infer", rowsOf(1), "", 429, `model "limited": the rate limit of 0.5 requests a second is reached`},
		{"model fails", "/v2/models/broken/infer", rowsOf(1), "", 500, "the model failed"},
		{"not finite", "/v2/models/infinite/infer", rowsOf(1), "", 500, `output "y": element 1 is Infinity, which JSON cannot hold: ask for it as binary data (parameter binary_data)`},
		{"not ready", "/v2/models/waiting/infer", rowsOf(1), "", 503, `model "waiting" is not ready`},
		{"version failed", "/v2/models/mozart/versions/2/infer", rowsOf(1), "", 503, `version "2" of model "mozart" could not be loaded`},
		{"version not ready", "/v2/models/mozart/versions/3/infer", rowsOf(1), "", 503, `version "3" of model "mozart" is not ready`},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{jsonType}
			if c.header != "" {
				headers = append(headers, c.header)
			}
			got := g.send("POST", c.path, c.body, headers...)
			got.want(t, c.status, string(oip.AppendError(nil, c.says)))
			if after := got.header.Get("Retry-After"); (c.status == 429 || c.status == 503) != (after != "") {
				t.Errorf("Retry-After %q", after)
			}
			if c.status == 429 && got.header.Get("Retry-After") != "2" {
				t.Errorf("Retry-After %q at half a request a second", got.header.Get("Retry-After"))
			}
		})
	}
}

func TestAnswersSayWhoAnswered(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	got := g.send("POST", infer, rowsOf(1), "X-Request-Id: my-id/7", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for name, want := range map[string]string{"Segue-Model-Version": "1", "Segue-Variant": "v1", "Segue-Config-Index": "42", "X-Request-Id": "my-id/7"} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	id, err := g.ids.parse(got.header.Get("Segue-Prediction-Id"))
	if err != nil || id.names != hashNames("mozart", "1", "v1") || time.Since(id.at).Abs() > time.Minute {
		t.Errorf("prediction id %q: %+v, %v", got.header.Get("Segue-Prediction-Id"), id, err)
	}
	refused := g.send("POST", infer, `{}`)
	if refused.header.Get("Segue-Model-Version") != "1" || refused.header.Get("Segue-Prediction-Id") != "" {
		t.Errorf("a refusal has the headers %v", refused.header)
	}
	for _, insane := range []string{"", "with space", strings.Repeat("x", 129), `quo"te`} {
		made := g.send("POST", infer, rowsOf(1), "X-Request-Id: "+insane).header.Get("X-Request-Id")
		if len(made) != 32 || made == refused.header.Get("X-Request-Id") {
			t.Errorf("for the id %q: %q", insane, made)
		}
	}
}

func TestAStickyCallerStaysOnItsVersion(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", weight: 1, model: doubler()})
	m.stickyHeader = "X-User-Id"
	g.put(m)
	seen := map[string]int{}
	for user := range 20 {
		name := "X-User-Id: user" + strconv.Itoa(user)
		first := g.send("POST", infer, rowsOf(1), name).header.Get("Segue-Model-Version")
		seen[first]++
		for range 3 {
			if again := g.send("POST", infer, rowsOf(1), name).header.Get("Segue-Model-Version"); again != first {
				t.Errorf("user %d went from version %s to %s", user, first, again)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("20 users were split %v", seen)
	}
	random := map[string]int{}
	for range 60 {
		random[g.send("POST", infer, rowsOf(1)).header.Get("Segue-Model-Version")]++
	}
	if len(random) != 2 {
		t.Errorf("60 requests without the header were split %v", random)
	}
}

func TestNonFiniteOutputsFollowThePolicyAndAreCounted(t *testing.T) {
	g := newTestGateway(t)
	m := doubler()
	m.Func = func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
		return []runtime.Tensor{runtimetest.FP32("y", in[0].Shape, 1, float32(math.NaN()), float32(math.Inf(-1)))}, nil
	}
	for policy, data := range map[oip.NonFinite]string{oip.NonFiniteNull: "[1.0,null,null]", oip.NonFiniteLiteral: "[1.0,NaN,-Infinity]"} {
		route := g.model("mozart", version{name: "1", weight: 1, model: m})
		route.nonFinite = policy
		g.put(route)
		request, err := g.client.Post("http://"+g.address+infer, "application/json", strings.NewReader(rowsOf(1)))
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		body.ReadFrom(request.Body)
		request.Body.Close()
		if request.StatusCode != 200 || !strings.Contains(body.String(), `"data":`+data) {
			t.Errorf("policy %v: %d %s", policy, request.StatusCode, body.String())
		}
	}
	if n := g.metrics.version("mozart", "1", "v1").total().attempts[outcomeNonFinite]; n != 2 {
		t.Errorf("%d counted as nonfinite, want 2", n)
	}
}

func TestBodiesAreDecompressedAndAnswersCompressed(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	pack := func(w interface {
		Write([]byte) (int, error)
		Close() error
	}, buf *bytes.Buffer, text string) string {
		w.Write([]byte(text))
		w.Close()
		return buf.String()
	}
	gz := func(text string) string { var b bytes.Buffer; return pack(gzip.NewWriter(&b), &b, text) }
	deflate := func(text string) string { var b bytes.Buffer; return pack(zlib.NewWriter(&b), &b, text) }
	zst := func(text string) string {
		var b bytes.Buffer
		w, _ := zstd.NewWriter(&b)
		return pack(w, &b, text)
	}
	bomb := strings.Repeat(" ", 16<<20)
	for name, packed := range map[string]func(string) string{"gzip": gz, "deflate": deflate, "zstd": zst} {
		for range 3 { // the second time with a pooled decoder
			g.send("POST", infer, packed(rowsOf(1)), "Content-Encoding: "+name).want(t, 200, answered)
		}
		got := g.send("POST", infer, rowsOf(1), "Accept-Encoding: "+name)
		if got.header.Get("Content-Encoding") != name || got.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("asked for %s, got %v", name, got.header)
		}
		codecs, unpacked := codec{pool: g.opts.Pool}, unpacked{}
		of, _ := parseContentEncoding([]byte(name))
		err := codecs.decompress(&unpacked, of, []byte(got.body), 1<<20)
		if err != nil || string(unpacked.bytes) != answered {
			t.Errorf("%s: %q, %v", name, unpacked.bytes, err)
		}
		g.send("POST", infer, packed(bomb), "Content-Encoding: "+name).want(t, 413, `{"error":"the body is over the limit of 1048576 bytes"}`)
		err = codecs.decompress(&unpacked, of, []byte(packed(bomb)), 1<<20)
		if !errors.Is(err, errBodyTooLarge) || cap(unpacked.bytes) > 4<<20 {
			t.Errorf("%s: a bomb took %d bytes, %v", name, cap(unpacked.bytes), err)
		}
		codecs.release(&unpacked)
	}
	g.send("POST", infer, rowsOf(1), "Accept-Encoding: identity, br").want(t, 200, answered)
}

func TestTheAnswersCodingIsTheBestThatIsAccepted(t *testing.T) {
	for header, want := range map[string]coding{
		"": codingIdentity, "br": codingIdentity, "gzip": codingGzip, "gzip, deflate, br": codingGzip, "gzip, deflate, br, zstd": codingZstd,
		"gzip;q=0": codingIdentity, "GZIP;q=0.5, deflate;q=0.8": codingDeflate, "zstd;q=bad, gzip": codingGzip, "*": codingIdentity,
	} {
		if got := acceptedCoding([]byte(header)); got != want {
			t.Errorf("%q: %s, want %s", header, codingNames[got], codingNames[want])
		}
	}
}

func TestBinaryTensorsGoBothWays(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(1.5))
	data = append(data, make([]byte, 8)...)
	head := `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}],"parameters":{"binary_data_output":true}}`
	got := g.send("POST", infer, head+string(data), "Content-Type: application/octet-stream", "Inference-Header-Content-Length: "+strconv.Itoa(len(head)))
	length, _ := strconv.Atoi(got.header.Get("Inference-Header-Content-Length"))
	if got.status != 200 || length == 0 || got.header.Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	if values := float32s([]byte(got.body[length:])); len(values) != 3 || values[0] != 3 {
		t.Errorf("outputs %v", values)
	}
	want := `{"model_name":"mozart","model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":12}}]}`
	if got.body[:length] != want {
		t.Errorf("got  %s\nwant %s", got.body[:length], want)
	}
}
