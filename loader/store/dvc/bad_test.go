package dvc_test

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/dvc"
)

func TestReferences(t *testing.T) {
	for uri, want := range map[string]dvc.Reference{
		"dvc:https://git.example/team/composers@v1.4#models/mozart.onnx": {Repository: "https://git.example/team/composers", Revision: "v1.4", Path: "models/mozart.onnx"},
		"DVC:/srv/git/a@b@release/2#models/mozart/":                      {Repository: "/srv/git/a@b", Revision: "release/2", Path: "models/mozart"},
		"dvc:composers@2f1c9d0#m.onnx":                                   {Repository: "composers", Revision: "2f1c9d0", Path: "m.onnx"},
		"dvc:file:///srv/git/composers@HEAD#m":                           {Repository: "/srv/git/composers", Revision: "HEAD", Path: "m"},
	} {
		if got, err := dvc.ParseReference(uri); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", uri, got, err, want)
		}
	}
	for _, uri := range []string{
		"dvc:", "dvc:composers", "dvc:composers@v1", "dvc:composers#m", "dvc:@v1#m", "dvc:composers@#m", "dvc:composers@v1#", "dvc:composers@v1#/m", "dvc:composers@v1#../m",
		"dvc:composers@v1#a/../m", "dvc:composers@v1#.", "dvc:composers@-upload#m", "dvc:composers@v1..v2#m", "dvc:composers@HEAD^#m", "dvc:composers@main:m#m",
		"dvc:https://user:secret@git.example/composers@v1#m", "dvc:ssh://git.example/composers@v1#m", "dvc:git@git.example:composers@v1#m", "dvc:file://host/composers@v1#m",
		"dvc:https:///composers@v1#m", "dvc:ext::sh@v1#m", "dvc:a\x00b@v1#m", "mlflow:composers@v1#m", `dvc:composers@v1#a\b`,
	} {
		if got, err := dvc.ParseReference(uri); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v; want an error without secrets", uri, got, err)
		}
	}
}

func FuzzReferencesStayInTheirRepository(f *testing.F) {
	f.Add("dvc:https://git.example/team/composers@v1.4#models/mozart.onnx")
	f.Add("dvc:a@b@release/2#models/mozart/")
	f.Fuzz(func(t *testing.T, uri string) {
		r, err := dvc.ParseReference(uri)
		if err != nil {
			return
		}
		if strings.HasPrefix(r.Revision, "-") || strings.Contains("/"+r.Path+"/", "/../") || strings.HasPrefix(r.Path, "/") || r.Repository == "" {
			t.Errorf("%q: %+v", uri, r)
		}
	})
}

// sum is the MD5 of a text.
func sum(text string) string {
	hash := md5.Sum([]byte(text))
	return hex.EncodeToString(hash[:])
}

// repository makes one with files and objects, and returns its path. A content
// that begins with -> is a symbolic link.
func repository(t *testing.T, files map[string]string, objects ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, arguments := range [][]string{{"init", "--quiet"}, {"add", "--all", "--force"}, {"-c", "user.name=a", "-c", "user.email=a@example.test", "commit", "--quiet", "-m", "m"}} {
		cmd := exec.Command("git", arguments...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "PATH=" + os.Getenv("PATH")}
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", arguments, err, text)
		}
	}
	for _, content := range objects {
		name := sum(content)
		if strings.HasPrefix(content, "[") {
			name += ".dir"
		}
		path := filepath.Join(dir, "storage", "files", "md5", name[:2], name[2:])
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const config = "[core]\n    remote = s\n['remote \"s\"']\n    url = ../storage\n"

func tracking(path, hash string) string {
	return fmt.Sprintf("outs:\n- md5: %s\n  hash: md5\n  path: %s\n", hash, path)
}

func TestWhatARepositoryMayNotSay(t *testing.T) {
	mine := tracking("m.onnx", sum("graph"))
	with := func(config, file string) map[string]string {
		return map[string]string{".dvc/config": config, "m.onnx.dvc": file}
	}
	list := func(name, hash string) string { return fmt.Sprintf(`[{"md5": %q, "relpath": %q}]`, hash, name) }
	for what, c := range map[string]struct {
		files     map[string]string
		objects   []string
		want      string
		permanent bool
	}{
		"no configuration":         {map[string]string{"m.onnx.dvc": mine}, nil, ".dvc/config is not in the commit", true},
		"no remote":                {with("[core]\n    analytics = false\n", mine), nil, "names no remote", true},
		"a remote that is none":    {with("[core]\nremote = x\n", mine), nil, "does not say where the remote \"x\" lies", true},
		"a section without end":    {with("[core\n", mine), nil, "line 1: a section without ]", true},
		"a line that is nothing":   {with("[core]\nremote\n", mine), nil, "line 2: neither a section", true},
		"another layout":           {with(config+"    version_aware = true\n", mine), nil, "is version_aware", true},
		"a kind of remote":         {with("[core]\nremote = s\n['remote \"s\"']\nurl = ssh://elsewhere.test/store\n", mine), nil, "of the kind ssh:", true},
		"an address with a word":   {with("[core]\nremote = s\n['remote \"s\"']\nurl = s3://user:secret@models\n", mine), nil, "the address of the remote is none", true},
		"a linked .dvc file":       {map[string]string{".dvc/config": config, "m.onnx.dvc": "->other", "other": mine}, nil, "none is followed", true},
		"a linked configuration":   {map[string]string{".dvc/config": "->../other", "other": config, "m.onnx.dvc": mine}, nil, "none is followed", true},
		"no YAML":                  {with(config, "outs: [\n"), nil, "m.onnx.dvc is damaged", true},
		"a list that is none":      {with(config, "outs: 7\n"), nil, "m.onnx.dvc is damaged", true},
		"a damaged lock":           {map[string]string{".dvc/config": config, "dvc.lock": "stages: [}"}, nil, "dvc.lock is damaged", true},
		"the hash of an older DVC": {with(config, "outs:\n- md5: "+sum("graph")+"\n  path: m.onnx\n"), nil, "before version 3", true},
		"a hash that leaves":       {with(config, tracking("m.onnx", "../../../../../../../../etc/passwd")), nil, "has no hash", true},
		"an output that leaves":    {with(config, tracking("../m.onnx", sum("graph"))), nil, "tracks no such path", false},
		"a list that leaves":       {with(config, tracking("m.onnx", sum(list("../x", sum("x")))+".dir")), []string{list("../x", sum("x"))}, `the file "../x"`, true},
		"a list of an absolute":    {with(config, tracking("m.onnx", sum(list("/x", sum("x")))+".dir")), []string{list("/x", sum("x"))}, `the file "/x"`, true},
		"a list without hashes":    {with(config, tracking("m.onnx", sum(list("x", "../.."))+".dir")), []string{list("x", "../..")}, `with the hash "../.."`, true},
		"a list that is no JSON":   {with(config, tracking("m.onnx", sum("[1]")+".dir")), []string{"[1]"}, "is damaged", true},
		"nothing was pushed":       {with(config, mine), nil, "is not in the remote", false},
	} {
		t.Run(what, func(t *testing.T) {
			dir := repository(t, c.files, c.objects...)
			origin, err := dvc.New(dvc.Options{}).Open(t.Context(), store.Ref{URI: "dvc:" + dir + "@HEAD#m.onnx"})
			if err == nil {
				_, err = readAll(t.Context(), origin, "model.onnx")
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || store.IsPermanent(err) != c.permanent || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v (permanent %v); want %q, permanent %v", err, store.IsPermanent(err), c.want, c.permanent)
			}
		})
	}
	t.Run("a file that is no model", func(t *testing.T) {
		dir := repository(t, map[string]string{".dvc/config": config, "m.txt.dvc": tracking("m.txt", sum("x"))})
		if _, err := dvc.New(dvc.Options{}).Open(t.Context(), store.Ref{URI: "dvc:" + dir + "@HEAD#m.txt"}); err == nil || !store.IsPermanent(err) {
			t.Errorf("%v", err)
		}
	})
}

func TestAReadThatBreaksOffGoesOnAndIsCheckedWhole(t *testing.T) {
	text := strings.Repeat("graph ", 1000)
	dir := repository(t, map[string]string{".dvc/config": strings.Replace(config, "../storage", "s3://models/some where", 1), "m.onnx.dvc": tracking("m.onnx", sum(text))}, text)
	for _, spoilt := range []bool{false, true} {
		repositories := dvc.New(dvc.Options{Remote: func(string) store.Remote { return middle{filepath.Join(dir, "storage")} }})
		origin, err := repositories.Open(t.Context(), store.Ref{URI: "dvc:" + dir + "@HEAD#m.onnx"})
		if err != nil {
			t.Fatal(err)
		}
		defer origin.Close()
		got := make([]byte, 1234)
		body, err := origin.Read(t.Context(), "model.onnx", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, got); err != nil {
			t.Fatal(err)
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		if spoilt {
			path := filepath.Join(dir, "storage", "files", "md5", sum(text)[:2], sum(text)[2:])
			if err := os.WriteFile(path, []byte(strings.Replace(text, "graph", "other", 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			// What is spoilt lies in the part that was read before.
			again, err := origin.Read(t.Context(), "model.onnx", 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(again, got); err != nil {
				t.Fatal(err)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
		body, err = origin.Read(t.Context(), "model.onnx", 1234)
		if err != nil || body.Offset != 1234 {
			t.Fatalf("offset %d, %v", body.Offset, err)
		}
		rest, err := io.ReadAll(body)
		if whole := string(got) + string(rest); (err != nil) != spoilt || !spoilt && whole != text {
			t.Errorf("spoilt %v: %d bytes, %v", spoilt, len(whole), err)
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
