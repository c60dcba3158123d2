package payload

import (
	"encoding/binary"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/gateway/oip/oippb"
	"github.com/segue-serving/segue/runtime"
)

const manifestText = `{
  "model": "m",
  "signature": {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}, {"name": "n", "datatype": "INT64", "shape": [1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}]
  },
  "tolerance": {"absolute": 0.001, "relative": 0.01},
  "goldens": [
    {"name": "one", "inputs": [
      {"name": "n", "datatype": "INT64", "shape": [1], "data": [-7]},
      {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5,
        -2]}],
     "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [0.25]}]}
  ]
}`

func readManifest(t *testing.T, text string) (*Manifest, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Read(dir)
}

func TestSamplesCarryTheGoldenRequestInEveryForm(t *testing.T) {
	m, err := readManifest(t, manifestText)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := m.Samples()
	if err != nil {
		t.Fatal(err)
	}
	s := samples[0]
	if want := `{"inputs":[{"name":"n","datatype":"INT64","shape":[1],"data":[-7]},{"name":"x","datatype":"FP32","shape":[1,2],"data":[1.5,-2]}]}`; string(s.JSON) != want {
		t.Errorf("JSON is %s, want %s", s.JSON, want)
	}
	data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(1.5))
	data = binary.LittleEndian.AppendUint32(data, math.Float32bits(-2))
	data = binary.LittleEndian.AppendUint64(data, math.MaxUint64-6)
	if len(s.Inputs) != 2 || s.Inputs[0].Name != "x" || string(s.Inputs[0].Data)+string(s.Inputs[1].Data) != string(data) {
		t.Errorf("tensors are %+v", s.Inputs)
	}
	encode := func(to To, p Protocol) load.Request {
		t.Helper()
		requests, err := Requests(samples, to, p)
		if err != nil {
			t.Fatal(err)
		}
		return requests[0]
	}
	if r := encode(To{Model: "m"}, JSON); r.Path != "/v2/models/m/infer" || string(r.Body) != string(s.JSON) || r.Header[headerLength] != "" {
		t.Errorf("request is %+v", r)
	}
	want := `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},` +
		`{"name":"n","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}}],"parameters":{"binary_data_output":true}}`
	if r := encode(To{"m", "3"}, Binary); r.Path != "/v2/models/m/versions/3/infer" || string(r.Body) != want+string(data) || r.Header[headerLength] != strconv.Itoa(len(want)) {
		t.Errorf("request is %+v, want %s and %v", r, want, data)
	}
	r := encode(To{"m", "3"}, GRPC)
	var message oippb.ModelInferRequest
	if err := proto.Unmarshal(r.Body, &message); err != nil || r.Path != "/inference.GRPCInferenceService/ModelInfer" ||
		message.ModelName != "m" || message.ModelVersion != "3" || len(message.Inputs) != 2 || message.Inputs[1].Datatype != "INT64" ||
		string(slices.Concat(message.RawInputContents...)) != string(data) {
		t.Errorf("message to %s is %v: %v", r.Path, &message, err)
	}
	if _, err := Requests(samples, To{Model: "m"}, JSON17); err == nil || !strings.Contains(err.Error(), "INT64 is not written with 17 digits") {
		t.Errorf("got %v", err)
	}
	if _, err := Requests(samples, To{Model: "m"}, "xml"); err == nil || !strings.Contains(err.Error(), `unknown protocol "xml"`) {
		t.Errorf("got %v", err)
	}
}

// TestNumbersAreWrittenAsPythonWritesThem: json.dumps([float(numpy.float32(x))
// for x in (0.1, 1/3, 2, 1e-5)]) writes these very numbers.
func TestNumbersAreWrittenAsPythonWritesThem(t *testing.T) {
	var data []byte
	for _, v := range []float32{.1, 1. / 3, 2, 1e-5} {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	samples := []Sample{{Inputs: []runtime.Tensor{{Name: "x", Type: runtime.FP32, Shape: []int64{1, 4}, Data: data}}}}
	requests, err := Requests(samples, To{Model: "m"}, JSON17)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.10000000149011612,0.3333333432674408,2.0,9.999999747378752e-06]}]}`
	if got := string(requests[0].Body); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestManifestsThatCannotBeSentAreRefused(t *testing.T) {
	f := func(text, says string) {
		t.Helper()
		m, err := readManifest(t, text)
		if err == nil {
			var samples []Sample
			if samples, err = m.Samples(); err == nil {
				_, err = Requests(samples, To{Model: "m"}, Binary)
			}
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an error that says %q", err, says)
		}
	}
	f(`{`, "unexpected end")
	f(`{"goldens": []}`, "no golden requests")
	f(strings.Replace(manifestText, `[1.5,`, `["a",`, 1), `golden request "one"`)
	f(strings.Replace(manifestText, `"name": "n", "datatype": "INT64", "shape": [1], "data"`, `"name": "z", "datatype": "INT64", "shape": [1], "data"`, 1), "z")
	f(strings.ReplaceAll(strings.Replace(manifestText, "-7", `"text"`, 1), "INT64", "BYTES"), "BYTES are not sent")
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there is read")
	}
}

// tensor writes one output as binary data behind its JSON.
func tensor(datatype string, size int, data []byte) (body []byte, header string) {
	text := `{"outputs":[{"name":"y","datatype":"` + datatype + `","shape":[1],"parameters":{"binary_data_size":` + strconv.Itoa(size) + `}}]}`
	return append([]byte(text), data...), strconv.Itoa(len(text))
}

func TestAnswersAreDecoded(t *testing.T) {
	le := binary.LittleEndian
	for datatype, data := range map[string][]byte{
		"FP32": le.AppendUint32(nil, math.Float32bits(-3)), "FP64": le.AppendUint64(nil, math.Float64bits(-3)),
		"INT32": le.AppendUint32(nil, math.MaxUint32-2), "INT64": le.AppendUint64(nil, math.MaxUint64-2),
	} {
		body, header := tensor(datatype, len(data), data)
		got, err := Decode(body, header)
		if err != nil || len(got) != 1 || got[0].Name != "y" || len(got[0].Data) != 1 || got[0].Data[0] != -3 {
			t.Errorf("%s: %v, %v", datatype, got, err)
		}
	}
	got, err := Decode([]byte(`{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1,2.5]}]}`), "")
	if err != nil || len(got) != 1 || got[0].Data[1] != 2.5 {
		t.Errorf("JSON: %v, %v", got, err)
	}
}

func TestAnswersThatAreBrokenAreRefused(t *testing.T) {
	f := func(body []byte, header, says string) {
		t.Helper()
		if got, err := Decode(body, header); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, %v, want an error that says %q", got, err, says)
		}
	}
	f([]byte("<html>"), "", "no JSON")
	f([]byte("{}"), "x", `header length of "x"`)
	f([]byte("{}"), "3", "header length")
	f([]byte("{}"), "-1", "header length")
	body, header := tensor("FP32", 8, []byte{0, 0, 0, 0})
	f(body, header, "8 bytes of data, 4 are left")
	body, header = tensor("FP32", 4, make([]byte, 5))
	f(body, header, "1 bytes behind the last output")
	body, header = tensor("FP32", 3, make([]byte, 3))
	f(body, header, "3 bytes of FP32")
	body, header = tensor("BYTES", 4, make([]byte, 4))
	f(body, header, "BYTES is not read here")
}

func TestToleranceIsAbsolutePlusRelative(t *testing.T) {
	tolerance := Tolerance{Absolute: .001, Relative: .01}
	f := func(got, want float64, ok bool) {
		t.Helper()
		err := tolerance.Compare([]Output{{"y", []float64{got}}}, []Output{{"y", []float64{want}}})
		if (err == nil) != ok {
			t.Errorf("%v against %v: %v", got, want, err)
		}
	}
	f(10.1009, 10, true)
	f(10.102, 10, false)
	f(-.0009, 0, true)
	f(.0011, 0, false)
	f(math.NaN(), 0, false)
	f(math.Inf(1), 10, false)
	for _, other := range [][]Output{nil, {{"z", []float64{1}}}, {{"y", []float64{1, 1}}}} {
		if tolerance.Compare(other, []Output{{"y", []float64{1}}}) == nil {
			t.Errorf("%v passes", other)
		}
	}
}

// answerFrom serves one answer and gives it to f.
func answerFrom(t *testing.T, code int, version, body string, f func(load.Answer)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetStatusCode(code)
		ctx.Response.Header.Set(versionHeader, version)
		ctx.SetBodyString(body)
	}}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	target := load.Target{Network: "tcp", Addr: l.Addr().String(), Timeout: 10 * time.Second, Requests: []load.Request{{Path: "/"}}}
	if err := load.Once(target, 0, func(a load.Answer) error { f(a); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	<-done
}

func TestAnAnswerMustBeThatOfTheVersionWhichItNames(t *testing.T) {
	m, err := readManifest(t, manifestText)
	if err != nil {
		t.Fatal(err)
	}
	other, err := readManifest(t, strings.ReplaceAll(manifestText, "0.25", "0.75"))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(y string) string {
		return `{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[` + y + `]}]}`
	}
	c := NewChecker(m.Tolerance)
	learn := func(manifest *Manifest, as string, code int, named, y string) (err error) {
		answerFrom(t, code, named, answer(y), func(a load.Answer) { err = c.Learn(as, manifest, 0, a) })
		return err
	}
	for what, err := range map[string]error{
		"another status":  learn(m, "1", 503, "1", "0.25"),
		"another version": learn(m, "1", 200, "2", "0.25"),
		"another answer":  learn(m, "1", 200, "1", "0.75"),
	} {
		if err == nil {
			t.Errorf("%s is learnt", what)
		}
	}
	if err := learn(m, "1", 200, "1", "0.2501"); err != nil {
		t.Fatal(err)
	}
	if err := learn(other, "2", 200, "2", "0.75"); err != nil {
		t.Fatal(err)
	}
	if err := learn(m, "same", 200, "same", "0.25"); err != nil {
		t.Fatal(err)
	}
	if err := c.TellsApart("1", "2"); err != nil {
		t.Error(err)
	}
	if c.TellsApart("1", "same") == nil {
		t.Error("two versions that answer alike are told apart")
	}
	f := func(code int, version, y, says string) {
		t.Helper()
		answerFrom(t, code, version, answer(y), func(a load.Answer) {
			err := c.Check(0, a)
			if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%d of version %s, %s: %v, want %q", code, version, y, err, says)
			}
		})
	}
	f(200, "1", "0.2501", "")
	f(200, "1", "0.2502", "") // within the tolerance, as rows of a batch are
	f(200, "1", "0.75", "version 1: output y[0] is 0.75")
	f(200, "2", "0.25", "version 2: output y[0] is 0.25")
	f(200, "3", "0.25", `version "3", which is not served`)
	f(500, "1", "0.2501", "status 500")
	f(503, "1", "0.2501", "refused: status 503")
	anonymous := NewAnonymousChecker(m.Tolerance, "1")
	answerFrom(t, 200, "", answer("0.25"), func(a load.Answer) {
		if err := anonymous.Learn("1", m, 0, a); err != nil {
			t.Error(err)
		}
	})
	answerFrom(t, 200, "", answer("0.2501"), func(a load.Answer) {
		if err := anonymous.Check(0, a); err != nil {
			t.Error(err)
		}
	})
	answerFrom(t, 200, "", answer("0.75"), func(a load.Answer) {
		if anonymous.Check(0, a) == nil {
			t.Error("a server that names no version may answer anything")
		}
	})
	answerFrom(t, 200, "", "recorded", func(a load.Answer) {
		if Echo([][]byte{[]byte("recorded")})(0, a) != nil || Echo([][]byte{[]byte("other")})(0, a) == nil {
			t.Error("an echo is not compared with what was recorded")
		}
	})
}
