package gateway

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

func TestPathsAreLookedUpByTheirParts(t *testing.T) {
	for _, c := range []struct {
		path           string
		endpoint       endpoint
		model, version string
	}{
		{"/v2/models/a%2eb/versions/1%2F2/infer", endpointInfer, "a.b", "1/2"},
		{"/v2/models/versions", endpointModel, "versions", ""},
		{"/v2/models/versions/versions/versions/infer", endpointInfer, "versions", "versions"},
		{"/v2/models/a/versions/1/feedback", endpointUnknown, "a", "1"},
		{"/v2/models/a/versions", endpointUnknown, "a", ""},
		{"/v2/models/a/infer/x", endpointUnknown, "a", ""},
		{"/%76%32/models/a", endpointModel, "a", ""},
		{"/v2/models/a%", endpointUnknown, "", ""},
		{"/v2/models/%zz", endpointUnknown, "", ""},
		{"/v2/models//infer", endpointUnknown, "", ""},
		{"//v2", endpointUnknown, "", ""},
		{"/v2/", endpointUnknown, "", ""},
		{"", endpointUnknown, "", ""},
		{"*", endpointUnknown, "", ""},
		{"/v1/models/a:predict", endpointV1Predict, "a", ""},
		{"/v1/models/a%3Apredict", endpointV1Predict, "a", ""},
		{"/v1/models/:predict", endpointUnknown, "", ""},
		{"/v1/models/a:classify", endpointUnknown, "", ""},
		{"/v1/models/a:explain", endpointUnknown, "", ""},
		{"/v1/models/a%3Aregress", endpointUnknown, "", ""},
		{"/v1/models/a/versions/1:explain", endpointUnknown, "", ""},
		{"/v1/models/a:explain:predict", endpointUnknown, "", ""},
		{"/v1/models/a/versions/1:predict", endpointV1Predict, "a", "1"},
		{"/v1/models/a/versions/1", endpointV1Status, "a", "1"},
		{"/v1/models/a/labels/x:predict", endpointUnknown, "", ""},
		{"/v1/models/a/versions", endpointUnknown, "", ""},
		{"/v1", endpointUnknown, "", ""},
		{"/v2/models/a/versions/1/infer/y/z", endpointUnknown, "", ""},
	} {
		var r route
		r.parse([]byte(c.path))
		if r.endpoint != c.endpoint || string(r.model) != c.model || string(r.version) != c.version {
			t.Errorf("%s: endpoint %d, model %q, version %q, want %d, %q, %q", c.path, r.endpoint, r.model, r.version, c.endpoint, c.model, c.version)
		}
	}
}

func TestThePathOfATarget(t *testing.T) {
	for target, want := range map[string]string{
		"/v2": "/v2", "/v2?a=/b": "/v2", "http://host/v2?x": "/v2", "http://host": "", "*": "*", "/a://b/c": "/a://b/c", "host:80": "host:80",
	} {
		if got := pathOf([]byte(target)); string(got) != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for e := range endpoints {
		for _, p := range endpoints[e].patterns {
			f.Add(strings.NewReplacer("{model}", "moz%61rt", "{version}", "1").Replace(p))
		}
	}
	f.Add("/v2/models/%2F%2f/infer")
	var reused route
	f.Fuzz(func(t *testing.T, path string) {
		var r route
		r.parse([]byte(path))
		reused.parse([]byte(path))
		if r.endpoint != reused.endpoint || !bytes.Equal(r.model, reused.model) || !bytes.Equal(r.version, reused.version) {
			t.Fatalf("%q: a fresh route differs from one used before", path)
		}
		if r.endpoint == endpointUnknown {
			return
		}
		// Writing the route down again must lead back to it.
		for _, pattern := range endpoints[r.endpoint].patterns {
			if strings.Contains(pattern, "{version}") != (r.version != nil) {
				continue
			}
			escape := func(name []byte) string { return strings.ReplaceAll(url.PathEscape(string(name)), ":", "%3A") }
			again := strings.NewReplacer("{model}", escape(r.model), "{version}", escape(r.version)).Replace(pattern)
			reused.parse([]byte(again))
			if reused.endpoint != r.endpoint || !bytes.Equal(reused.model, r.model) || !bytes.Equal(reused.version, r.version) {
				t.Errorf("%q is endpoint %d, model %q, version %q; %q is %d, %q, %q", path, r.endpoint, r.model, r.version,
					again, reused.endpoint, reused.model, reused.version)
			}
		}
	})
}
