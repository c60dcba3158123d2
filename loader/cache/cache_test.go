package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/store"
)

func TestAnArtifactWithADigestIsServedFromTheCacheWithoutTheStore(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	source, digest := packed(t, "1", map[string][]byte{"deep/er/weights.bin": noise(3<<20, 1), "empty": {}})
	s.put(t, "m", source)
	c := open(t, dir, plenty)
	ref := store.Ref{URI: "shop:m", Digest: digest}
	var last [2]int64
	path, release, err := c.Store(s).Fetch(t.Context(), ref, func(done, total int64) { last = [2]int64{done, total} })
	if err != nil {
		t.Fatal(err)
	}
	verified(t, path, digest)
	if last[0] != last[1] || last[0] < 3<<20 {
		t.Errorf("progress ended at %v", last)
	}
	if s.opened != s.closed {
		t.Errorf("%d origins opened, %d closed", s.opened, s.closed)
	}
	release()
	tidy(t, dir)

	asked := s.requests()
	again := open(t, dir, plenty) // as another process does
	path, release, cached, err := again.Store(s).(store.Caching).FetchCached(t.Context(), ref, nil)
	if err != nil || !cached || s.requests() != asked {
		t.Fatalf("cached is %t, the store was asked %d times more: %v", cached, s.requests()-asked, err)
	}
	verified(t, path, digest)
	release()
}

func TestAnArtifactWithoutADigestIsWhatItWasWhileTheStoreIsAway(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	first, digest := packed(t, "1", nil)
	s.put(t, "m", first)
	ref := store.Ref{URI: "shop:m"}
	_, release := fetch(t, open(t, dir, plenty), s, ref)
	release()

	for _, away := range []error{errReset, fs.ErrNotExist, store.Permanent(errors.New("403 Forbidden"))} {
		s.away = away
		path, release := fetch(t, open(t, dir, plenty), s, ref)
		verified(t, path, digest)
		release()
	}
	if _, _, err := open(t, dir, plenty).Store(s).Fetch(t.Context(), store.Ref{URI: "shop:other"}, nil); !store.IsPermanent(err) || !strings.Contains(err.Error(), "shop:other: 403 Forbidden") {
		t.Errorf("got %v", err)
	}

	// With the store back, what lies there now counts.
	s.away = nil
	second, changed := packed(t, "2", nil)
	s.put(t, "m", second)
	path, release := fetch(t, open(t, dir, plenty), s, ref)
	verified(t, path, changed)
	release()
	tidy(t, dir)
}

func TestErrorsNameAReferenceOnceAndNoQuery(t *testing.T) {
	s := newShop()
	for _, said := range []string{"401 Unauthorized", "shop:m: 401 Unauthorized"} {
		s.away = store.Permanent(errors.New(said))
		_, _, err := open(t, t.TempDir(), plenty).Store(s).Fetch(t.Context(), store.Ref{URI: "shop:m?signature=secret"}, nil)
		if err == nil || err.Error() != "shop:m: 401 Unauthorized" {
			t.Errorf("got %v", err)
		}
	}
}

func TestAPinHoldsAsLongAsItsArtifactIsHere(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	source, digest := packed(t, "1", nil)
	s.put(t, "m", source)
	ref := store.Ref{URI: "shop:m"}
	c := open(t, dir, plenty)
	c.Pin("mozart/1", ref, digest)
	if got := c.Pinned("mozart/1", ref); got != "" {
		t.Errorf("pinned to %s, which is not here", got)
	}
	_, release := fetch(t, c, s, ref)
	c.Pin("mozart/1", ref, digest)
	again := open(t, dir, plenty)
	if got := again.Pinned("mozart/1", ref); got != digest {
		t.Errorf("pinned to %q, want %s", got, digest)
	}
	for _, other := range []string{again.Pinned("mozart/2", ref), again.Pinned("mozart/1", store.Ref{URI: "shop:n"}), again.Pinned("mozart/1", store.Ref{URI: "shop:m", Base: "/x"})} {
		if other != "" {
			t.Errorf("another version is pinned to %s", other)
		}
	}
	release()
	if err := c.discard(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	if got := again.Pinned("mozart/1", ref); got != "" {
		t.Errorf("pinned to %s, which is gone", got)
	}
	open(t, dir, plenty)
	if notes := names(filepath.Join(dir, refsDir)); len(notes) != 0 {
		t.Errorf("notes of what is gone: %v", notes)
	}
}

func TestAnInterruptedDownloadIsGoneOnWith(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	weights := noise(5<<20, 3)
	source, digest := packed(t, "1", map[string][]byte{"weights.bin": weights})
	s.put(t, "m", source)
	ref := store.Ref{URI: "shop:m", Digest: digest}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the process ends")
	var offsets []int64
	s.read = func(_ context.Context, name string, offset int64) (*store.Body, error) {
		if name != "weights.bin" {
			return nil, nil
		}
		offsets = append(offsets, offset)
		if len(offsets) == 1 {
			return &store.Body{ReadCloser: io.NopCloser(io.MultiReader(strings.NewReader(string(weights[:2<<20])),
				readerFunc(func([]byte) (int, error) { cancel(stop); return 0, errReset }))), Size: int64(len(weights))}, nil
		}
		return nil, nil
	}
	if _, _, err := open(t, dir, plenty).Store(s).Fetch(ctx, ref, nil); !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
	path, release := fetch(t, open(t, dir, plenty), s, ref)
	defer release()
	verified(t, path, digest)
	if !slices.Equal(offsets, []int64{0, 2 << 20}) {
		t.Errorf("the weights were read from %v", offsets)
	}
	if count := slices.Index(s.reads, "manifest.json"); slices.Contains(s.reads[count+1:], "manifest.json") {
		t.Error("the manifest was read again, and it is there already")
	}
	tidy(t, dir)
}

// simulated fetches in simulated time.
func simulated(t *testing.T, c *Cache, s *shop, ref store.Ref) (path string, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var release func()
		path, release, err = c.Store(s).Fetch(context.Background(), ref, nil)
		took = time.Since(began)
		if err == nil {
			release()
		}
	})
	return path, took, err
}

func TestTransfersThatFailAreTriedAgainWithinBounds(t *testing.T) {
	weights := noise(1<<20, 7)
	size := int64(len(weights))
	source, digest := packed(t, "1", map[string][]byte{"weights.bin": weights})
	for _, c := range []struct {
		name string
		// read answers the nth request for the weights.
		read func(n int, offset int64) (*store.Body, error)
		want string // in the error, empty for none
		// least and most bound the time taken.
		least, most time.Duration
	}{
		{"reset at every 100 KiB", func(_ int, offset int64) (*store.Body, error) {
			return failing(weights[offset:min(size, offset+100<<10)], errReset, offset, size), nil
		}, "", 0, time.Minute},
		{"always reset at the same place, from the beginning", func(int, int64) (*store.Body, error) {
			return failing(weights[:100], errReset, 0, size), nil
		}, errReset.Error(), 0, time.Minute},
		{"ranges are not known there", func(n int, offset int64) (*store.Body, error) {
			if n == 1 {
				return failing(weights[:500_000], errReset, 0, size), nil
			}
			body := bodyOf(weights, 0, size)
			return &body, nil
		}, "", 0, time.Minute},
		{"ends early", func(n int, offset int64) (*store.Body, error) {
			end := size
			if n == 1 {
				end = 1000
			}
			body := bodyOf(weights[offset:end], offset, -1)
			return &body, nil
		}, "", 0, time.Minute},
		{"asks for patience", func(n int, offset int64) (*store.Body, error) {
			if n == 1 {
				return nil, store.Later(errors.New("429"), 4*time.Second)
			}
			return nil, nil
		}, "", 4 * time.Second, time.Minute},
		{"asks for much patience", func(int, int64) (*store.Body, error) {
			return nil, store.Later(errors.New("429 Too Many Requests"), time.Hour)
		}, "weights.bin: 429 Too Many Requests", 0, time.Second},
		{"is forbidden", func(int, int64) (*store.Body, error) {
			return nil, store.Permanent(errors.New("403 Forbidden"))
		}, "weights.bin: 403 Forbidden", 0, 0},
		{"is not there", func(int, int64) (*store.Body, error) { return nil, fs.ErrNotExist }, "the store lists it and does not have it", 0, 0},
		{"says another size", func(int, int64) (*store.Body, error) {
			body := bodyOf(weights[:10], 0, 10)
			return &body, nil
		}, fmt.Sprintf("weights.bin: the store has 10 bytes, and %d are listed", size), 0, 0},
		{"sends more than it says", func(int, int64) (*store.Body, error) {
			body := bodyOf(append(slices.Clone(weights), 1), 0, -1)
			return &body, nil
		}, fmt.Sprintf("weights.bin: the store sends more than the %d bytes", size), 0, 0},
		{"sends other bytes", func(int, int64) (*store.Body, error) {
			body := bodyOf(noise(int(size), 8), 0, size)
			return &body, nil
		}, "weights.bin: SHA-256 is ", 0, 0},
		{"sends a page", func(int, int64) (*store.Body, error) {
			page := append([]byte("<!DOCTYPE html><title>Sign in</title>"), make([]byte, size-37)...)
			body := bodyOf(page, 0, size)
			return &body, nil
		}, "weights.bin: the store answers a web page in its place", 0, 0},
		{"begins too late", func(int, int64) (*store.Body, error) {
			body := bodyOf(weights[1:], 1, size)
			return &body, nil
		}, "the store begins at byte 1, and was asked for byte 0", 0, 0},
		{"begins before the beginning", func(int, int64) (*store.Body, error) {
			body := bodyOf(weights, -1, size)
			return &body, nil
		}, "the store begins at byte -1", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir, n := newShop(), t.TempDir(), 0
			s.put(t, "m", source)
			s.read = func(_ context.Context, name string, offset int64) (*store.Body, error) {
				if name != "weights.bin" {
					return nil, nil
				}
				n++
				return c.read(n, offset)
			}
			path, took, err := simulated(t, open(t, dir, plenty), s, store.Ref{URI: "shop:m", Digest: digest})
			if took < c.least || took > c.most {
				t.Errorf("it took %s, want %s to %s", took, c.least, c.most)
			}
			if s.opened != s.closed {
				t.Errorf("%d origins opened, %d closed", s.opened, s.closed)
			}
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				verified(t, path, digest)
				tidy(t, dir)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "shop:m: ") || strings.Contains(err.Error(), dir) {
				t.Fatalf("got %v, want …%s…", err, c.want)
			}
			// What was wrong does not stay in the way.
			s.read = nil
			path, release := fetch(t, open(t, dir, plenty), s, store.Ref{URI: "shop:m", Digest: digest})
			defer release()
			verified(t, path, digest)
			tidy(t, dir)
		})
	}
}

func TestAStoreThatStallsIsLeft(t *testing.T) {
	weights := noise(1<<20, 7)
	size := int64(len(weights))
	source, digest := packed(t, "1", map[string][]byte{"weights.bin": weights})
	for name, read := range map[string]func(ctx context.Context, name string, offset int64) (*store.Body, error){
		"half open": func(ctx context.Context, _ string, offset int64) (*store.Body, error) {
			return hanging(ctx, offset, size), nil
		},
		"no answer": func(ctx context.Context, _ string, _ int64) (*store.Body, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"a byte a second": func(ctx context.Context, _ string, offset int64) (*store.Body, error) {
			return &store.Body{ReadCloser: io.NopCloser(readerFunc(func(p []byte) (int, error) {
				select {
				case <-ctx.Done():
					return 0, ctx.Err()
				case <-time.After(time.Second):
				}
				offset++
				return copy(p, weights[offset-1:offset]), nil
			})), Offset: offset, Size: size}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop()
			s.put(t, "m", source)
			s.read = func(ctx context.Context, name string, offset int64) (*store.Body, error) {
				if name != "weights.bin" {
					return nil, nil
				}
				return read(ctx, name, offset)
			}
			c, ref := open(t, t.TempDir(), plenty), store.Ref{URI: "shop:m", Digest: digest}
			_, took, err := simulated(t, c, s, ref)
			if !errors.Is(err, errStalled) || store.IsPermanent(err) || took < 30*time.Second || took > time.Minute {
				t.Errorf("after %s: %v", took, err)
			}
			s.read = nil
			path, release := fetch(t, c, s, ref)
			defer release()
			verified(t, path, digest)
		})
	}
}

func TestManifestsThatAreNone(t *testing.T) {
	_, digest := packed(t, "1", nil)
	for _, c := range []struct{ name, manifest, want string }{
		{"a page", "\n<html><body>Sign in</body></html>", "manifest.json: the store answers a web page in its place"},
		{"torn", `{"schema": 1, "files": [`, "manifest.json"},
		{"empty", "", "manifest.json"},
		{"out of the folder", `{"schema":1,"model":"m","files":[{"path":"../x.onnx","size":1,"sha256":"` + strings.Repeat("0", 64) + `"}]}`, `"../x.onnx" is not a clean relative path`},
		{"too large", strings.Repeat(" ", artifact.MaxManifestBytes+1), "manifest.json: more than the 64.0 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := newShop(), t.TempDir()
			s.goods["m"] = map[string][]byte{"manifest.json": []byte(c.manifest)}
			_, _, err := simulated(t, open(t, dir, plenty), s, store.Ref{URI: "shop:m"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
			tidy(t, dir)
		})
	}
	s := newShop()
	other, is := packed(t, "2", nil)
	s.put(t, "m", other)
	_, _, err := simulated(t, open(t, t.TempDir(), plenty), s, store.Ref{URI: "shop:m", Digest: digest})
	if !errors.Is(err, store.ErrDigest) || !strings.Contains(err.Error(), "the artifact's digest is "+is+", and wanted is "+digest) {
		t.Errorf("got %v", err)
	}
	if _, _, err := simulated(t, open(t, t.TempDir(), plenty), s, store.Ref{URI: "shop:m", Digest: "sha256:../../x"}); !store.IsPermanent(err) {
		t.Errorf("a digest that is a path: %v", err)
	}
}

func TestArtifactsWithoutAManifestGetOne(t *testing.T) {
	model := artifacttest.Doubler().Bytes()
	for name, files := range map[string]map[string][]byte{
		"a bare file":         {"doubler.onnx": model},
		"a folder's model":    {"model.onnx": model},
		"Triton's layout":     {"1/model.onnx": model, "config.pbtxt": []byte("name: \"m\"")},
		"sizes are not known": {"model.onnx": model},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := newShop(), t.TempDir()
			s.goods["m"] = files
			if name == "sizes are not known" {
				s.files = func() ([]store.RemoteFile, error) { return []store.RemoteFile{{Name: "model.onnx", Size: -1}}, nil }
			}
			path, release := fetch(t, open(t, dir, plenty), s, store.Ref{URI: "shop:m"})
			a, err := artifact.Verify(t.Context(), path)
			release()
			if err != nil || !slices.ContainsFunc(a.Warnings, func(w string) bool { return strings.Contains(w, "there is no manifest.json") }) {
				t.Fatalf("%v %v", a, err)
			}
			tidy(t, dir)
			// With the digest of that manifest it is found without the store.
			s.away = errReset
			path, release = fetch(t, open(t, dir, plenty), s, store.Ref{URI: "shop:elsewhere", Digest: a.Digest})
			defer release()
			verified(t, path, a.Digest)
		})
	}
}

func TestListingsThatAreRefused(t *testing.T) {
	many := make([]store.RemoteFile, maxFiles+1)
	for i := range many {
		many[i] = store.RemoteFile{Name: fmt.Sprint(i), Size: 1}
	}
	for _, c := range []struct {
		files []store.RemoteFile
		err   error
		want  string
	}{
		{nil, nil, "nothing lies there"},
		{nil, errors.ErrUnsupported, "there is no manifest.json, and the store cannot say which files there are"},
		{nil, store.Permanent(errors.New("401")), "401"},
		{many, nil, "10001 files lie there, and 10000 are allowed"},
		{[]store.RemoteFile{{Name: "../up.onnx"}}, nil, `"../up.onnx", which is not a clean relative path`},
		{[]store.RemoteFile{{Name: "/abs.onnx"}}, nil, "not a clean relative path"},
		{[]store.RemoteFile{{Name: "a\nb"}}, nil, `"a\nb", which is not`},
		{[]store.RemoteFile{{Name: `a\b`}}, nil, "not a clean relative path"},
		{[]store.RemoteFile{{Name: "model.onnx"}, {Name: "manifest.json.unfinished"}}, nil, "there is manifest.json.unfinished: a push is under way, or broke off"},
		{[]store.RemoteFile{{Name: "a"}, {Name: "a"}}, nil, "a: is listed twice"},
		{[]store.RemoteFile{{Name: "model.onnx", Size: 2 << 30}}, nil, "the artifact takes more than 2048.0 MiB (2147483648 bytes), and the whole cache may take 1024.0 MiB (1073741824 bytes) (--cache-size)"},
		{[]store.RemoteFile{{Name: "a", Size: 700 << 20}, {Name: "b", Size: 700 << 20}}, nil, "the artifact takes 1400.0 MiB"},
	} {
		s, dir := newShop(), t.TempDir()
		s.goods["m"] = map[string][]byte{}
		s.files = func() ([]store.RemoteFile, error) { return c.files, c.err }
		_, _, err := simulated(t, open(t, dir, plenty), s, store.Ref{URI: "shop:m"})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want …%s…", err, c.want)
		}
		tidy(t, dir)
	}
}

func TestFilesThatAreHereAlreadyAreCopied(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	weights := map[string][]byte{"weights.bin": noise(4<<20, 5)}
	one, first := packed(t, "1", weights)
	two, second := packed(t, "2", weights)
	s.put(t, "1", one)
	s.put(t, "2", two)
	c := open(t, dir, plenty)
	from, release := fetch(t, c, s, store.Ref{URI: "shop:1", Digest: first})
	s.read = func(_ context.Context, name string, _ int64) (*store.Body, error) {
		if name == "weights.bin" {
			return nil, errors.New("these are here already")
		}
		return nil, nil
	}
	path, also := fetch(t, c, s, store.Ref{URI: "shop:2", Digest: second})
	defer also()
	verified(t, path, second)
	a, errA := os.Stat(filepath.Join(from, "weights.bin"))
	b, errB := os.Stat(filepath.Join(path, "weights.bin"))
	if errA != nil || errB != nil || os.SameFile(a, b) {
		t.Errorf("one file under two names: %v %v", errA, errB)
	}
	release()

	// A copy of something damaged is fetched after all.
	if err := os.WriteFile(filepath.Join(from, "weights.bin"), noise(4<<20, 6), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.discard(t.Context(), second); !errors.Is(err, errBusy) {
		t.Fatalf("an artifact in use was removed: %v", err)
	}
	also()
	if err := c.discard(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	s.read = nil
	path, again := fetch(t, c, s, store.Ref{URI: "shop:2", Digest: second})
	defer again()
	verified(t, path, second)
}

func TestADamagedArtifactIsFetchedAnew(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"changed":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "model.onnx"), []byte("x"), 0o600) },
		"gone":        func(dir string) error { return os.Remove(filepath.Join(dir, "model.onnx")) },
		"no manifest": func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := newShop(), t.TempDir()
			source, digest := packed(t, "1", nil)
			s.put(t, "m", source)
			c := open(t, dir, plenty)
			ref := store.Ref{URI: "shop:m", Digest: digest}
			path, release := fetch(t, c, s, ref)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			c.Doubt(path)
			release()
			path, release = fetch(t, c, s, ref)
			verified(t, path, digest)
			// One that is in order is not fetched again for a doubt.
			asked := s.requests()
			c.Doubt(path)
			release()
			path, release = fetch(t, c, s, ref)
			defer release()
			if verified(t, path, digest); s.requests() != asked {
				t.Error("it was fetched again")
			}
			tidy(t, dir)
		})
	}
}

func TestACacheThatIsClearedAwayBeginsAnew(t *testing.T) {
	s, dir := newShop(), filepath.Join(t.TempDir(), "cache")
	source, digest := packed(t, "1", nil)
	s.put(t, "m", source)
	c := open(t, dir, plenty)
	for range 2 {
		path, release := fetch(t, c, s, store.Ref{URI: "shop:m", Digest: digest})
		verified(t, path, digest)
		release()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSignaturesComeWithTheArtifact(t *testing.T) {
	s := newShop()
	source, digest := packed(t, "1", nil)
	if err := os.WriteFile(filepath.Join(source, artifact.SignatureFile), []byte("signed"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.put(t, "m", source)
	path, release := fetch(t, open(t, t.TempDir(), plenty), s, store.Ref{URI: "shop:m", Digest: digest})
	defer release()
	if got, err := os.ReadFile(filepath.Join(path, artifact.SignatureFile)); string(got) != "signed" {
		t.Errorf("%q %v", got, err)
	}
}

func TestASignatureThatIsAddedLaterIsAskedFor(t *testing.T) {
	for _, digestStated := range []bool{true, false} {
		s, dir := newShop(), t.TempDir()
		source, digest := packed(t, "1", nil)
		s.put(t, "m", source)
		c := open(t, dir, plenty)
		ref := store.Ref{URI: "shop:m"}
		if digestStated {
			ref.Digest = digest
		}
		has := func(want string) {
			t.Helper()
			path, release := fetch(t, c, s, ref)
			defer release()
			if got, err := os.ReadFile(filepath.Join(path, artifact.SignatureFile)); string(got) != want && (want != "" || err == nil) {
				t.Errorf("signature %q, want %q", got, want)
			}
		}
		path, release := fetch(t, c, s, ref)
		release()
		c.Unsigned(path)
		has("") // there is none yet
		s.goods["m"][artifact.SignatureFile] = []byte("first")
		has("first")
		s.goods["m"][artifact.SignatureFile] = []byte("second")
		has("first") // nobody found fault with it
		c.Unsigned(path)
		s.away = errReset
		has("first")
		s.away = nil
		has("second")
		tidy(t, dir)
	}
}
