package gateway

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// signing is a fleet's settings about signatures.
type signingSettings struct {
	Schema  int                     `json:"schema"`
	Signers []configs.Signer        `json:"signers"`
	Rules   []configs.SignatureRule `json:"require_signature,omitempty"`
}

func (b *bench) sign(s signingSettings) {
	b.t.Helper()
	s.Schema = 1
	text, err := json.Marshal(s)
	if err != nil {
		b.t.Fatal(err)
	}
	b.set("settings", string(text))
}

func TestOnlySignedVersionsComeIntoForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startWhole(t, t.TempDir(), &announced{})
		defer g.stop()
		version := func(name string) configs.VersionStatus {
			synctest.Wait()
			return g.Status().Models["mozart"].Versions[name]
		}
		one, two := packed(t, "1"), packed(t, "2")
		private, public := artifacttest.Key(t)
		file := filepath.Join(t.TempDir(), "release.pub.pem")
		release := configs.Signer{Name: "release", File: file}
		rule := []configs.SignatureRule{{Prefix: "file:/", Signers: []string{"release"}}}

		// One is in memory before anybody asks for signatures: it serves on, and
		// the status says that it would not do.
		g.bench.set("settings", minimalSettings)
		g.bench.document("mozart", "1:"+one, "1=100")
		g.read()
		g.wants("1")
		g.bench.sign(signingSettings{Signers: []configs.Signer{release}, Rules: rule})
		g.bench.document("mozart", "1:"+one+" 2:"+two, "2=100")
		g.read()
		g.wants("1")
		if v := version("1"); v.State != configs.VersionReady || !strings.HasPrefix(v.Reason, "serves on, though its signature was not judged when it was loaded, and settings.require_signature[0] wants a signature by release") {
			t.Errorf("got %+v", v)
		}
		if v := version("2"); v.State != configs.VersionFailed || !strings.Contains(v.Reason, "not signed, and settings.require_signature[0] wants a signature by release (release cannot be used: open ") {
			t.Errorf("got %+v", v)
		}

		// The key comes, and then a signature: no restart, no new document.
		if err := os.WriteFile(file, public, 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if v := version("2"); v.State != configs.VersionFailed || strings.Contains(v.Reason, "cannot be used") {
			t.Errorf("got %+v", v)
		}
		artifacttest.SignWith(t, "/"+two, private)
		time.Sleep(time.Minute)
		g.wants("2")
		if v := version("2"); v.SignedBy != "release" || v.Reason != "" {
			t.Errorf("got %+v", v)
		}
	})
}

func TestADocumentNamesTheSignersOfItsVersions(t *testing.T) {
	b := newBench(t)
	_, public := artifacttest.Key(t)
	text := `{"model": "mozart", "versions": {"1": {"uri": "file:/a"}}, "require_signature": ["release"]}`
	b.set("models/mozart", text)
	b.read()
	if got := b.status("mozart").Rejected; len(got) != 1 || got[0] != `require_signature[0]: "release" is not among settings.signers: name it there with its public key or roots` {
		t.Errorf("rejected %q", got)
	}
	b.sign(signingSettings{Signers: []configs.Signer{{Name: "release", PEM: string(public)}}})
	b.read()
	if got := b.status("mozart").Rejected; len(got) != 0 {
		t.Errorf("rejected %q", got)
	}
	p := b.r.signatures.policy(loader.Wanted{Model: "mozart", Version: "1", URI: "file:/a"})
	if len(p.Trusted) != 1 || len(p.Required) != 1 || p.Required[0].Signers[0] != "release" || p.Required[0].Where != "the document's require_signature" {
		t.Errorf("got %+v", p)
	}
	if p := b.r.signatures.policy(loader.Wanted{Model: "another"}); len(p.Required) != 0 {
		t.Errorf("got %+v", p)
	}

	// A signer that settings name no more cannot be used, and says so.
	b.set("settings", minimalSettings)
	b.read()
	p = b.r.signatures.policy(loader.Wanted{Model: "mozart", Version: "1", URI: "file:/a"})
	if len(p.Trusted) != 0 || len(p.Required) != 1 || p.Unusable["release"] == nil {
		t.Errorf("got %+v", p)
	}
}

func TestSettingsThatCannotBeUsedLetNothingIn(t *testing.T) {
	b := newBench(t)
	b.set("settings", `{"schema": 1, "require_signature": [{"signers": ["release"]}]}`)
	b.document("mozart", "1:a", "1=100")
	b.read()
	p := b.r.signatures.policy(loader.Wanted{Model: "mozart", Version: "1", URI: "file:a"})
	if err := p.Judge(nil, os.ErrNotExist); err == nil || !strings.HasPrefix(err.Error(), "whether it must be signed is not known: the settings cannot be used") {
		t.Errorf("got %v", err)
	}
	b.set("settings", minimalSettings)
	b.read()
	if p := b.r.signatures.policy(loader.Wanted{Model: "mozart"}); len(p.Required) != 0 {
		t.Errorf("got %+v", p)
	}
}
