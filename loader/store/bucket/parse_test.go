package bucket

import (
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/store/egress"
)

// What is taken writes itself, and never leads out of its prefix.
func FuzzParse(f *testing.F) {
	for _, uri := range []string{"s3://b/a/b", "s3://b", "s3://b/x.onnx?region=r", "s3://b/a%20b%2Fc/", "s3://b/../c", "s3://u:p@b/x", "s3://b/x?region=a&region=b"} {
		f.Add(uri)
	}
	s := S3(egress.Hosts{})
	f.Fuzz(func(t *testing.T, uri string) {
		p, err := s.parse(uri)
		if err != nil {
			return
		}
		if p.bucket == "" || strings.HasPrefix(p.prefix, "/") || strings.HasSuffix(p.prefix, "/") || strings.Contains("/"+p.prefix+"/", "/../") || strings.Contains(p.only, "/") {
			t.Errorf("%q is taken as %+v", uri, p)
		}
		if p.only != "" {
			return
		}
		again, err := s.parse((&origin{store: s, place: p}).uri())
		if err != nil || again.bucket != p.bucket || again.prefix+again.only != p.prefix {
			t.Errorf("%q is taken as %+v and written as %+v, %v", uri, p, again, err)
		}
	})
}
