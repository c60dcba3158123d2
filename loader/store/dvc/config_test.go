package dvc

import (
	"path/filepath"
	"strings"
	"testing"
)

func FuzzListsNameFilesOfTheirFolder(f *testing.F) {
	f.Add([]byte(`[{"md5": "982cca81dbeb45e0b74b81e44831a511", "relpath": "sub/model.onnx"}]`))
	f.Add([]byte(`[{"md5": "982cca81dbeb45e0b74b81e44831a511", "relpath": "../x"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		files, err := parseList(text)
		if err != nil {
			return
		}
		for _, file := range files {
			if !filepath.IsLocal(file.Path) || strings.HasPrefix(file.Path, "/") || len(file.MD5) != 32 || strings.Contains(place(file.MD5), "..") {
				t.Errorf("%s: %+v", text, file)
			}
		}
	})
}

func FuzzDescriptionsAreTakenOrRefused(f *testing.F) {
	f.Add([]byte("outs:\n- md5: 982cca81dbeb45e0b74b81e44831a511\n  hash: md5\n  path: model.onnx\n"))
	f.Add([]byte("outs: [{md5: ../../x, hash: md5, path: model.onnx}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var file struct {
			Outs []output `yaml:"outs"`
		}
		if decode("model.onnx.dvc", text, &file) != nil {
			return
		}
		out, err := pick(file.Outs, "models", "models/model.onnx")
		if err == nil && (strings.Contains(out.MD5, "/") || len(strings.TrimSuffix(out.MD5, folderMark)) != 32) {
			t.Errorf("%q: %+v", text, out)
		}
	})
}

func FuzzParseConfigTakesLinesApart(f *testing.F) {
	f.Add("[core]\n    remote = s\n['remote \"s\"']\n    url = s3://models/dvc\n")
	f.Add("# a comment\n[core]\nremote = \"a b\"\n[remote \"a b\"]\nurl = '../storage'\n")
	f.Add("[x\n=")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseConfig([]byte(text))
		if err != nil {
			return
		}
		for name := range r.settings {
			address, err := r.address(name)
			if err == nil && (address == "" || strings.ContainsAny(address, "\n") || !strings.Contains(text, address)) {
				t.Errorf("%q: remote %q lies at %q", text, name, address)
			}
		}
	})
}
