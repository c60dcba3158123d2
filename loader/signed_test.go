package loader

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/artifact/signing"
)

func TestUnsignedVersionsAreRefusedBeforeTheProbe(t *testing.T) {
	var asked atomic.Pointer[signing.Policy]
	simulate(t, Options{Signatures: func(Wanted) signing.Policy { return *asked.Load() }}, func(w *world) {
		v := w.version(t, "1", script{})
		policy := signing.Policy{}
		state := func() { asked.Store(new(policy)) }
		policy.Required = []signing.Rule{{Where: "require_signature", Signers: []string{"release"}}}
		state()
		w.want(v)
		s := w.expect(v, StateFailed)
		if !strings.HasPrefix(s.Reason, "fake:1: not signed, and require_signature wants a signature by release") || s.Permanent || s.SignedBy != nil {
			t.Errorf("got %+v", s)
		}
		if len(w.probed) != 0 {
			t.Error("it was probed all the same")
		}

		// A signature by somebody else changes the reason, the right one mends it.
		somebody := artifacttest.Sign(t, w.scripts["1"].dir, "somebody")
		policy.Trusted = []*signing.Trusted{somebody}
		state()
		w.settle(time.Minute)
		if s := w.expect(v, StateFailed); !strings.HasPrefix(s.Reason, "fake:1: signed by somebody, and require_signature wants a signature by release") {
			t.Errorf("got %s", s.Reason)
		}
		policy.Trusted = append(policy.Trusted, artifacttest.Sign(t, w.scripts["1"].dir, "release"))
		state()
		w.settle(time.Minute)
		if s := w.expect(v, StateReady); s.SignedBy.String() != "release" || len(s.Warnings) != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestABadSignatureThatNobodyAskedForIsOnlyTold(t *testing.T) {
	_, public := artifacttest.Key(t)
	other, err := signing.ParseTrusted("other", public)
	if err != nil {
		t.Fatal(err)
	}
	policy := signing.Policy{Trusted: []*signing.Trusted{other}}
	simulate(t, Options{Signatures: func(Wanted) signing.Policy { return policy }}, func(w *world) {
		v := w.version(t, "1", script{})
		artifacttest.Sign(t, w.scripts["1"].dir, "somebody")
		w.want(v)
		s := w.expect(v, StateReady)
		if s.SignedBy != nil || len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], "its signature is ignored: manifest.json.sig: made with the key ") {
			t.Errorf("got %+v", s)
		}
	})
}
