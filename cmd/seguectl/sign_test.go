package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

func TestWhatIsSignedWithAKeyVerifies(t *testing.T) {
	t.Parallel()
	dir, digest := artifacttest.PackDoubler(t, "")
	private, public := artifacttest.Key(t)
	_, somebodys := artifacttest.Key(t)
	key, pub, other := write(t, "key.pem", private), write(t, "pub.pem", public), write(t, "other.pem", somebodys)
	refuses(t, exitFailed, "it is not signed: there is no manifest.json.sig", "verify", dir, "--key", pub)

	if s := does[signReport](t, "sign", dir, "--key", key); s.Digest != digest || s.Files != 2 {
		t.Errorf("got %+v", s)
	}
	first, err := os.ReadFile(filepath.Join(dir, artifact.SignatureFile))
	if err != nil {
		t.Fatal(err)
	}
	does[signReport](t, "sign", dir, "--key", key)
	if again, err := os.ReadFile(filepath.Join(dir, artifact.SignatureFile)); err != nil || string(again) != string(first) {
		t.Errorf("signing twice gives two signatures, %v", err)
	}
	if v := does[verifyReport](t, "verify", dir, "--key", other, "--key", pub); v.SignedBy != pub || !v.Verified {
		t.Errorf("got %+v", v)
	}
	if v := does[verifyReport](t, "verify", dir); v.SignedBy != "" || len(v.Warnings) != 1 || v.Warnings[0] != "its signature is not judged: give --key or --root" {
		t.Errorf("got %+v", v)
	}
	if v := does[verifyReport](t, "verify", "file:"+dir, "--key", pub); v.SignedBy != pub {
		t.Errorf("got %+v", v)
	}
	refuses(t, exitFailed, "made with the key ", "verify", dir, "--key", other)
	refuses(t, exitUsage, "--key takes a public key, --root certificates", "verify", dir, "--root", pub)
	refuses(t, exitUsage, "none is given", "verify", dir, "--identity", "somebody")
	refuses(t, exitUsage, "want sha256:", "verify", dir, "--digest", "latest")
	refuses(t, exitFailed, "the digest is "+digest, "verify", dir, "--digest", "sha256:"+strings.Repeat("0", 64))
	refuses(t, exitFailed, "want a public key or certificates", "verify", dir, "--key", key)
	refuses(t, exitUsage, "no store of scheme", "verify", "ftp:"+dir)

	// Another manifest needs another signature.
	if p := does[packReport](t, "pack", dir, "--run-id", "7"); len(p.Warnings) != 1 || !strings.HasPrefix(p.Warnings[0], "manifest.json.sig is of the manifest before") {
		t.Errorf("got %+v", p)
	}
	refuses(t, exitFailed, "manifest.json.sig: changed since they were signed: manifest.json", "verify", dir, "--key", pub)
}

func TestWhatIsSignedWithACertificateVerifies(t *testing.T) {
	t.Parallel()
	dir, _ := artifacttest.PackDoubler(t, "")
	root, rootKey := certificate(t, "root", nil, nil)
	issuer, issuerKey := certificate(t, "issuer", root, rootKey)
	leaf, leafKey := certificate(t, "release", issuer, issuerKey)
	der, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, c *x509.Certificate) string {
		return write(t, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	key := write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	rootFile := file("root.crt", root)
	does[signReport](t, "sign", dir, "--key", key, "--certificate", file("leaf.crt", leaf), "--chain", file("issuer.crt", issuer))
	if v := does[verifyReport](t, "verify", dir, "--root", rootFile, "--identity", "release"); v.SignedBy != rootFile+" (CN=release)" {
		t.Errorf("got %+v", v)
	}
	refuses(t, exitFailed, `the certificate is of ["release"], not of ["somebody"]`, "verify", dir, "--root", rootFile, "--identity", "somebody")
	refuses(t, exitFailed, "is not of this private key", "sign", dir, "--key", key, "--certificate", rootFile)
	refuses(t, exitUsage, "--chain goes with --certificate", "sign", dir, "--key", key, "--chain", rootFile)
}

func TestOnlyWhatIsPackedIsSigned(t *testing.T) {
	t.Parallel()
	private, _ := artifacttest.Key(t)
	key := write(t, "key.pem", private)
	refuses(t, exitFailed, "there is no manifest.json to sign: run seguectl pack first", "sign", doubler(t, nil), "--key", key)
	dir, _ := artifacttest.PackDoubler(t, "")
	if err := os.WriteFile(filepath.Join(dir, artifact.ModelFile), artifacttest.Doubler().Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "model.onnx: ", "sign", dir, "--key", key)
	refuses(t, exitFailed, "no PEM block of a private key", "sign", dir, "--key", write(t, "empty", nil))
	refuses(t, exitUsage, `required flag(s) "key" not set`, "sign", dir)
}

// certificate makes a certificate that may sign, and others where it is not
// called release.
func certificate(t *testing.T, name string, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: name != "release", BasicConstraintsValid: true}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}
