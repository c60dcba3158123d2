package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/deploy/parts"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// signers are a key and a certificate under a root, as files.
type signers struct{ dir, key, public, root, leafKey, leaf, issuer string }

func newSigners(t *testing.T) *signers {
	t.Helper()
	s := &signers{dir: t.TempDir()}
	file := func(name, kind string, der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(s.dir, name)
		if err := os.WriteFile(at, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	key := func(curve elliptic.Curve) *ecdsa.PrivateKey {
		t.Helper()
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	certify := func(name string, c x509.Certificate, k *ecdsa.PrivateKey, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*x509.Certificate, string) {
		t.Helper()
		c.Subject, c.SerialNumber, c.BasicConstraintsValid = pkix.Name{CommonName: name}, big.NewInt(1), true
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if issuer == nil {
			issuer, issuerKey = &c, k
		}
		der, err := x509.CreateCertificate(rand.Reader, &c, issuer, k.Public(), issuerKey)
		at := file(name+".crt", "CERTIFICATE", der, err)
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made, at
	}
	release := key(elliptic.P384())
	der, err := x509.MarshalPKCS8PrivateKey(release)
	s.key = file("release.key", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(release.Public())
	s.public = file("release.pub", "PUBLIC KEY", der, err)

	rootKey, issuerKey, leafKey := key(elliptic.P384()), key(elliptic.P256()), key(elliptic.P256())
	authority := x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	root, at := certify("root", authority, rootKey, nil, nil)
	s.root = at
	issuer, at := certify("issuer", authority, issuerKey, root, rootKey)
	s.issuer = at
	_, s.leaf = certify("trainer", x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature}, leafKey, issuer, issuerKey)
	der, err = x509.MarshalECPrivateKey(leafKey)
	s.leafKey = file("trainer.key", "EC PRIVATE KEY", der, err)
	return s
}

// mustRun runs a program to its end.
func mustRun(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Versions are packed by seguectl out of bare models, with golden answers by
// segue, and signed by model-signing and by seguectl. Each of the two takes what
// the other signed, and the gateway serves what is signed and nothing else.
func TestVersionsPackedAndSignedElsewhereAreServed(t *testing.T) {
	python, seguectl, s := parts.Python(t, "model-signing"), seguetest.Binary(t, "seguectl"), newSigners(t)
	original, err := artifact.Parse(manifestOf(t, "wine", "1"))
	if err != nil {
		t.Fatal(err)
	}
	question, err := json.Marshal(map[string]any{"name": original.Goldens[0].Name, "inputs": original.Goldens[0].Inputs})
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join(s.dir, "golden.json")
	model, err := os.ReadFile(filepath.Join(quickstart, "models/wine/1/model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, body := range map[string][]byte{golden: question, filepath.Join(folder, "_settings.json"): settingsOf(t, s)} {
		if err := os.WriteFile(name, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := func(version string) string { return filepath.Join(folder, "models", version) }
	sigstore := func(version, verb, method string, flags ...string) {
		t.Helper()
		signature := filepath.Join(dir(version), artifact.SignatureFile)
		mustRun(t, python, append([]string{"-m", "model_signing", verb, method, dir(version), "--signature", signature}, flags...)...)
	}
	document := configs.Document{Model: "wine", Versions: map[string]configs.Version{}, Traffic: configs.Traffic{Weights: map[string]float64{"python-key": 100}}}
	for version, sign := range map[string]func(version string){
		"python-key": func(v string) {
			sigstore(v, "sign", "key", "--private_key", s.key)
			mustRun(t, seguectl, "verify", dir(v), "--key", s.public)
		},
		"python-certificate": func(v string) {
			sigstore(v, "sign", "certificate", "--private_key", s.leafKey, "--signing_certificate", s.leaf, "--certificate_chain", s.issuer)
			mustRun(t, seguectl, "verify", dir(v), "--root", s.root)
		},
		"seguectl-key": func(v string) {
			mustRun(t, seguectl, "sign", dir(v), "--key", s.key)
			sigstore(v, "verify", "key", "--public_key", s.public)
		},
		"seguectl-certificate": func(v string) {
			mustRun(t, seguectl, "sign", dir(v), "--key", s.leafKey, "--certificate", s.leaf, "--chain", s.issuer)
			sigstore(v, "verify", "certificate", "--certificate_chain", s.root)
		},
		"unsigned": func(string) {},
		"forged": func(v string) {
			mustRun(t, seguectl, "sign", dir(v), "--key", s.key)
			mustRun(t, seguectl, "pack", dir(v), "--run-id", "another")
		},
	} {
		if err := os.MkdirAll(dir(version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir(version), artifact.ModelFile), model, 0o644); err != nil {
			t.Fatal(err)
		}
		mustRun(t, seguectl, "pack", dir(version), "--model", "wine", "--golden", golden, "--run-id", version, "--segue", seguetest.Binary(t, "segue"))
		sign(version)
		document.Versions[version] = configs.Version{URI: "file:models/" + version}
	}
	checkAnswers(t, dir("python-key"), original)
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "wine.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}

	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + folder})
	for version, want := range map[string]string{
		"python-key": "release", "seguectl-key": "release", "python-certificate": "company (CN=trainer)", "seguectl-certificate": "company (CN=trainer)",
	} {
		seguetest.Eventually(t, 30*time.Second, version+" is ready", func() error {
			if a := gw.Get(t, "/v2/models/wine/versions/"+version+"/ready"); a.Code != http.StatusOK {
				return fmt.Errorf("%d %s", a.Code, a.Body)
			}
			return nil
		})
		if v := gw.Status(t).Models["wine"].Versions[version]; v.SignedBy != want {
			t.Errorf("%s: signed by %q, want %q", version, v.SignedBy, want)
		}
		if a := gw.Infer(t, "wine/versions/"+version, question, nil); a.Code != http.StatusOK {
			t.Errorf("%s: %d %s", version, a.Code, a.Body)
		}
	}
	for version, want := range map[string]string{
		"unsigned": "not signed, and settings.require_signature[0] wants a signature by release or company",
		"forged":   "manifest.json.sig: changed since they were signed: manifest.json, and settings.require_signature[0] wants",
	} {
		seguetest.Eventually(t, 10*time.Second, version+" is refused", func() error {
			if v := gw.Status(t).Models["wine"].Versions[version]; v.State != configs.VersionFailed || !strings.Contains(v.Reason, want) {
				return fmt.Errorf("%s: %s", v.State, v.Reason)
			}
			return nil
		})
		if _, ok := gw.Metric(t, `segue_model_load_failures_total{model="wine",reason="unsigned",version="`+version+`"}`); !ok {
			t.Errorf("%s: the refusal is not counted", version)
		}
	}
}

func settingsOf(t *testing.T, s *signers) []byte {
	t.Helper()
	public, err := os.ReadFile(s.public)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(configs.Settings{
		Schema:           configs.SchemaVersion,
		Signers:          []configs.Signer{{Name: "release", PEM: string(public)}, {Name: "company", File: s.root, Identities: []string{"trainer"}}},
		RequireSignature: []configs.SignatureRule{{Signers: []string{"release", "company"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkAnswers holds the golden answers of segue against those that came from
// Python.
func checkAnswers(t *testing.T, dir string, original *artifact.Manifest) {
	t.Helper()
	a, err := artifact.Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	g, want := a.Manifest.Goldens[0], original.Goldens[0]
	if g.Name != want.Name || len(g.Outputs) != len(want.Outputs) || !a.Manifest.Signature.Equal(original.Signature) {
		t.Errorf("packed %q with %d outputs and %+v", g.Name, len(g.Outputs), a.Manifest.Signature)
	}
	tensors := func(all []artifact.TensorData) (out []runtime.Tensor) {
		for i := range all {
			tensor, err := all[i].Tensor()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, tensor)
		}
		return out
	}
	if err := artifact.Compare(tensors(g.Outputs), tensors(want.Outputs), artifact.DefaultTolerance()); err != nil {
		t.Error(err)
	}
}
