package artifacttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/signing"
)

// Key makes a key pair, as PEM.
func Key(t testing.TB) (private, public []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
}

// SignWith writes the signature of a packed artifact with a private key.
func SignWith(t testing.TB, dir string, private []byte) {
	t.Helper()
	a, err := artifact.Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signing.ParseSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := signer.Sign(a.Manifest.Model, a.Resources())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, artifact.SignatureFile), bundle, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sign signs a packed artifact with a new key, and returns who has to be
// trusted for it.
func Sign(t testing.TB, dir, name string) *signing.Trusted {
	t.Helper()
	private, public := Key(t)
	SignWith(t, dir, private)
	trusted, err := signing.ParseTrusted(name, public)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}
