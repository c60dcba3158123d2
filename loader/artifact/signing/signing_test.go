package signing_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact/signing"
)

func must[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	return must(os.ReadFile(filepath.Join("testdata", name)))(t)
}

func trusted(t testing.TB, name, file string) *signing.Trusted {
	t.Helper()
	return must(signing.ParseTrusted(name, fixture(t, file)))(t)
}

// folder are the files that the signatures in testdata were made of.
func folder(t testing.TB) []signing.Resource {
	t.Helper()
	var files []signing.Resource
	root := os.DirFS("testdata/folder")
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, name)
		sum := sha256.Sum256(body)
		files = append(files, signing.Resource{Name: name, SHA256: hex.EncodeToString(sum[:])})
		return err
	})
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	return files
}

func TestSignaturesOfModelSigningAreTaken(t *testing.T) {
	everybody := []*signing.Trusted{
		trusted(t, "p256", "p256.pub.pem"), trusted(t, "p384", "p384.pub.pem"), trusted(t, "p521", "p521.pub.pem"),
		trusted(t, "other", "other-root.pem"), trusted(t, "root", "root.pem"),
	}
	for file, by := range map[string]string{
		"key-p256.sig": "p256", "key-p384.sig": "p384", "key-p521.sig": "p521",
		"certificate-release.sig": "root (CN=release,O=Segue tests)", "certificate-coder.sig": "root (CN=coder,O=Segue tests)",
	} {
		s, err := signing.Verify(fixture(t, file), everybody)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if s.String() != by {
			t.Errorf("%s: signed by %s, want %s", file, s, by)
		}
		if err := s.Covers(folder(t)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// changed writes a fixture anew with something changed in it.
func changed(t testing.TB, name string, change func(bundle map[string]any)) []byte {
	t.Helper()
	var bundle map[string]any
	if err := json.Unmarshal(fixture(t, name), &bundle); err != nil {
		t.Fatal(err)
	}
	change(bundle)
	return must(json.Marshal(bundle))(t)
}

func TestWhatIsNotProvedIsRefusedWithItsReason(t *testing.T) {
	envelope := func(change func(envelope map[string]any)) []byte {
		return changed(t, "key-p384.sig", func(b map[string]any) { change(b["dsseEnvelope"].(map[string]any)) })
	}
	material := func(name string, value any) []byte {
		return changed(t, "key-p384.sig", func(b map[string]any) { b["verificationMaterial"] = map[string]any{name: value} })
	}
	flip := func(text any) string {
		raw := must(base64.StdEncoding.DecodeString(text.(string)))(t)
		raw[len(raw)/2] ^= 1
		return base64.StdEncoding.EncodeToString(raw)
	}
	key, root := []*signing.Trusted{trusted(t, "release", "p384.pub.pem")}, []*signing.Trusted{trusted(t, "company", "root.pem")}
	chain := func(certificates ...any) any {
		list := []any{}
		for _, c := range certificates {
			list = append(list, map[string]any{"rawBytes": c})
		}
		return map[string]any{"certificates": list}
	}
	narrow := trusted(t, "company", "root.pem")
	narrow.Identities = []string{"somebody@models.example"}
	for _, c := range []struct {
		name, want string
		bundle     []byte
		trusted    []*signing.Trusted
	}{
		{"nothing", "not a readable Sigstore bundle", nil, key},
		{"a page", "not a readable Sigstore bundle", []byte("<html>Sign in</html>"), key},
		{"too large", "more than the 8388608 allowed", bytes.Repeat([]byte{' '}, signing.MaxBundleBytes+1), key},
		{"another type", `a bundle of type "application/vnd.dev.sigstore.bundle+json;version=0.1"`,
			changed(t, "key-p384.sig", func(b map[string]any) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1" }), key},
		{"no envelope", "holds no DSSE envelope", changed(t, "key-p384.sig", func(b map[string]any) { delete(b, "dsseEnvelope") }), key},
		{"another payload", `the envelope's payload is "text/plain"`, envelope(func(e map[string]any) { e["payloadType"] = "text/plain" }), key},
		{"unsigned", "the envelope holds 0 signatures", envelope(func(e map[string]any) { e["signatures"] = []any{} }), key},
		{"signed twice", "the envelope holds 2 signatures", envelope(func(e map[string]any) {
			e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)...)
		}), key},
		{"changed payload", "does not fit what it signs", envelope(func(e map[string]any) { e["payload"] = flip(e["payload"]) }), key},
		{"changed signature", "does not fit what it signs", envelope(func(e map[string]any) {
			s := e["signatures"].([]any)[0].(map[string]any)
			s["sig"] = flip(s["sig"])
		}), key},
		{"hint of another", "made with the key 000000000000 that is none of those trusted (release ", material("publicKey", map[string]any{"hint": strings.Repeat("0", 64)}), key},
		{"no hint, another key", "made with a key that is none of those trusted (other ", material("publicKey", map[string]any{}), []*signing.Trusted{trusted(t, "other", "p256.pub.pem")}},
		{"no keys known", "none of those trusted (there are none of that kind)", fixture(t, "key-p384.sig"), root},
		{"nobody named", "names neither a key nor certificates", material("tlogEntries", []any{}), key},
		{"keyless", "only its transparency log can prove", material("certificate", map[string]any{"rawBytes": "AAAA"}), root},
		{"empty chain", "a chain of 0 certificates", material("x509CertificateChain", chain()), root},
		{"endless chain", "a chain of 17 certificates", material("x509CertificateChain", chain(slices.Repeat([]any{"AAAA"}, 17)...)), root},
		{"broken certificate", "certificate 0 of the chain: x509", material("x509CertificateChain", chain("AAAA")), root},
		{"another root", `certificate "CN=release,O=Segue tests" is trusted by nobody (elsewhere: x509: certificate signed by unknown authority`,
			fixture(t, "certificate-release.sig"), []*signing.Trusted{trusted(t, "elsewhere", "other-root.pem")}},
		{"another's certificate", `company: the certificate is of ["release" "release@models.example"], not of ["somebody@models.example"]`,
			fixture(t, "certificate-release.sig"), []*signing.Trusted{narrow}},
		{"not for signing", `"CN=cipher,O=Segue tests" is not for signing`, fixture(t, "certificate-cipher.sig"), root},
		{"no roots known", "trusted by nobody (there are none of that kind)", fixture(t, "certificate-release.sig"), key},
		{"forged with a certificate", "does not fit what it signs", changed(t, "certificate-release.sig", func(b map[string]any) {
			e := b["dsseEnvelope"].(map[string]any)
			e["payload"] = flip(e["payload"])
		}), root},
		{"blake2", `the signed statement: hashes with "blake2b"`, fixture(t, "key-blake2.sig"), []*signing.Trusted{trusted(t, "release", "p256.pub.pem")}},
		{"shards", `the signed statement: signs "shards", want whole files`, fixture(t, "key-shards.sig"), []*signing.Trusted{trusted(t, "release", "p256.pub.pem")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := signing.Verify(c.bundle, c.trusted); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestASignatureCoversExactlyTheFilesAtHand(t *testing.T) {
	s := must(signing.Verify(fixture(t, "key-p256.sig"), []*signing.Trusted{trusted(t, "release", "p256.pub.pem")}))(t)
	files := folder(t)
	other := slices.Clone(files)
	other[0].SHA256 = strings.Repeat("0", 64)
	var many []signing.Resource
	for i := range 8 {
		many = append(many, signing.Resource{Name: fmt.Sprint("extra", i)})
	}
	for _, c := range []struct {
		want  string
		files []signing.Resource
	}{
		{"changed since they were signed: " + other[0].Name, other},
		{"signed, but not in the manifest: pack them, or sign with --ignore-paths: " + files[0].Name, files[1:]},
		{"not signed: extra0, extra1, extra2, extra3, extra4 and 3 more", slices.Concat(files, many)},
	} {
		if err := s.Covers(c.files); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func privatePEM(t testing.TB, key any) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))(t)})
}

func publicPEM(t testing.TB, key any) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))(t)})
}

// certify makes a certificate; a nil issuer signs itself.
func certify(t testing.TB, template *x509.Certificate, public any, issuer *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, []byte) {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	if issuer == nil {
		issuer = template
	}
	der := must(x509.CreateCertificate(rand.Reader, template, issuer, public, key))(t)
	return must(x509.ParseCertificate(der))(t), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestWhatIsSignedHereIsTaken(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key := must(ecdsa.GenerateKey(curve, rand.Reader))(t)
		sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(key))(t)})
		for _, text := range [][]byte{privatePEM(t, key), sec1} {
			signer := must(signing.ParseSigner(text))(t)
			bundle := must(signer.Sign("mozart", folder(t)))(t)
			again := must(signer.Sign("mozart", folder(t)))(t)
			if !bytes.Equal(bundle, again) {
				t.Error("the same files signed twice give two signatures")
			}
			s := must(signing.Verify(bundle, []*signing.Trusted{must(signing.ParseTrusted("me", publicPEM(t, key.Public())))(t)}))(t)
			if err := s.Covers(folder(t)); err != nil || s.String() != "me" {
				t.Errorf("%s: signed by %s, %v", curve.Params().Name, s, err)
			}
		}
	}
}

// The statement says what model-signing's says of the same folder, but for the
// list of ignored paths: it leaves the signature out where that lies inside.
func TestTheStatementIsThatOfModelSigning(t *testing.T) {
	statement := func(bundle []byte) map[string]any {
		var b struct {
			DSSEEnvelope struct{ Payload []byte } `json:"dsseEnvelope"`
		}
		var statement map[string]any
		if err := errors.Join(json.Unmarshal(bundle, &b), json.Unmarshal(b.DSSEEnvelope.Payload, &statement)); err != nil {
			t.Fatal(err)
		}
		serialization := statement["predicate"].(map[string]any)["serialization"].(map[string]any)
		for _, path := range []string{".git", ".gitattributes", ".github", ".gitignore"} {
			if !slices.Contains(serialization["ignore_paths"].([]any), any(path)) {
				t.Errorf("%s is not ignored", path)
			}
		}
		delete(serialization, "ignore_paths")
		return statement
	}
	signer := must(signing.ParseSigner(privatePEM(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t))))(t)
	files := folder(t)
	slices.Reverse(files)
	got, want := statement(must(signer.Sign("folder", files))(t)), statement(fixture(t, "key-p256.sig"))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

func TestCertificatesAreJudgedAtTheirFirstMoment(t *testing.T) {
	rootKey, key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	long := time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
	root, rootPEM := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, NotBefore: long, NotAfter: long.AddDate(2, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, rootKey.Public(), nil, rootKey)
	for _, c := range []struct {
		name, want string
		from       time.Time
		usage      x509.KeyUsage
		extended   []x509.ExtKeyUsage
	}{
		{"expired since", "", long.AddDate(1, 0, 0), x509.KeyUsageDigitalSignature, nil},
		{"code signing", "", long.AddDate(1, 0, 0), 0, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}},
		{"issued after its root ended", "x509: certificate has expired", long.AddDate(3, 0, 0), x509.KeyUsageDigitalSignature, nil},
		{"for servers", "", long.AddDate(1, 0, 0), x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
	} {
		_, leafPEM := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: c.name}, NotBefore: c.from, NotAfter: c.from.AddDate(0, 1, 0),
			KeyUsage: c.usage, ExtKeyUsage: c.extended}, key.Public(), root, rootKey)
		signer := must(must(signing.ParseSigner(privatePEM(t, key)))(t).WithCertificate(leafPEM))(t)
		bundle := must(signer.Sign("mozart", folder(t)))(t)
		_, err := signing.Verify(bundle, []*signing.Trusted{must(signing.ParseTrusted("company", rootPEM))(t)})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestKeysThatCannotSignModelsAreRefused(t *testing.T) {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	small := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	now := time.Now()
	_, ownPEM := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}, ec.Public(), nil, ec)
	_, othersPEM := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "other"}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}, small.Public(), nil, small)
	block := func(kind string) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}) }
	trust := func(text ...[]byte) error {
		_, err := signing.ParseTrusted("somebody", slices.Concat(text...))
		return err
	}
	sign := func(text []byte) error {
		_, err := signing.ParseSigner(text)
		return err
	}
	with := func(certificate []byte) error {
		_, err := must(signing.ParseSigner(privatePEM(t, ec)))(t).WithCertificate(certificate)
		return err
	}
	named := func(name string) error {
		_, err := must(signing.ParseSigner(privatePEM(t, ec)))(t).Sign("m", []signing.Resource{{Name: name, SHA256: strings.Repeat("0", 64)}})
		return err
	}
	for _, c := range []struct {
		want string
		err  error
	}{
		{"no PEM block of a public key or certificate", trust(nil)},
		{"a key of type *rsa.PublicKey: model signatures are made with ECDSA", trust(publicPEM(t, rsaKey.Public()))},
		{"a key on the curve P-224", trust(publicPEM(t, small.Public()))},
		{`PEM block "PRIVATE KEY": want a public key or certificates`, trust(privatePEM(t, ec))},
		{"a public key stands alone", trust(publicPEM(t, ec.Public()), publicPEM(t, ec.Public()))},
		{"a public key stands alone", trust(publicPEM(t, ec.Public()), ownPEM)},
		{"a public key stands alone", trust(ownPEM, publicPEM(t, ec.Public()))},
		{"public key: ", trust(block("PUBLIC KEY"))},
		{"certificate: ", trust(block("CERTIFICATE"))},
		{"no PEM block of a private key", sign([]byte("key"))},
		{"the key is encrypted", sign(block("ENCRYPTED PRIVATE KEY"))},
		{"the key is encrypted", sign(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES"}}))},
		{"a key of type *rsa.PrivateKey", sign(privatePEM(t, rsaKey))},
		{"a key on the curve P-224", sign(privatePEM(t, small))},
		{`PEM block "PUBLIC KEY": want a private key`, sign(publicPEM(t, ec.Public()))},
		{"private key: ", sign(block("PRIVATE KEY"))},
		{"no PEM block of a certificate", with(nil)},
		{`PEM block "PUBLIC KEY": want certificates`, with(publicPEM(t, ec.Public()))},
		{"is not of this private key", with(othersPEM)},
		{`"CN=server" is not for signing`, with(ownPEM)},
		{"17 certificates, more than the 16 allowed", with(bytes.Repeat(ownPEM, 17))},
		{"cannot be signed: model-signing leaves those out", named(".gitignore")},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got %v, want …%s…", c.err, c.want)
		}
	}
}

func TestPolicySaysWhoseSignatureIsWanted(t *testing.T) {
	release := signing.Rule{Where: "require_signature", Signers: []string{"release", "ci"}}
	company := signing.Rule{Where: `settings.require_signature[0] (prefix "s3://")`, Signers: []string{"ci"}}
	unusable := map[string]error{"ci": errors.New("settings name no such signer")}
	for _, c := range []struct {
		want      string
		rules     []signing.Rule
		signature *signing.Signature
		err       error
	}{
		{"", nil, nil, fs.ErrNotExist},
		{"", nil, nil, errors.New("forged")},
		{"", []signing.Rule{release, company}, &signing.Signature{By: "ci"}, nil},
		{"not signed, and require_signature wants a signature by release or ci (ci cannot be used: settings name no such signer): " +
			"sign the version (seguectl sign) and put manifest.json.sig beside its manifest", []signing.Rule{release}, nil, fs.ErrNotExist},
		{"forged, and require_signature wants a signature by release or ci", []signing.Rule{release}, nil, errors.New("forged")},
		{`signed by release (CN=a), and settings.require_signature[0] (prefix "s3://") wants a signature by ci`,
			[]signing.Rule{release, company}, &signing.Signature{By: "release", Certificate: "CN=a"}, nil},
		{"nobody can sign", []signing.Rule{{Where: "nobody can sign"}}, &signing.Signature{By: "ci"}, nil},
	} {
		policy := signing.Policy{Required: c.rules, Unusable: unusable}
		err := policy.Judge(c.signature, c.err)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// Each key in testdata signed one set of whole files, so whatever is accepted
// must be a signature of that very set.
func FuzzVerify(f *testing.F) {
	for _, name := range []string{"key-p256.sig", "key-p384.sig", "key-p521.sig", "key-blake2.sig", "key-shards.sig",
		"certificate-release.sig", "certificate-coder.sig", "certificate-cipher.sig"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":""}]}}`))
	everybody := []*signing.Trusted{
		trusted(f, "p256", "p256.pub.pem"), trusted(f, "p384", "p384.pub.pem"), trusted(f, "p521", "p521.pub.pem"), trusted(f, "root", "root.pem"),
	}
	files := folder(f)
	f.Fuzz(func(t *testing.T, bundle []byte) {
		s, err := signing.Verify(bundle, everybody)
		if err != nil {
			return
		}
		if err := s.Covers(files); err != nil {
			t.Errorf("a signature that nobody made is taken: %v", err)
		}
	})
}

func FuzzParseTrusted(f *testing.F) {
	for _, name := range []string{"p256.pub.pem", "p521.pub.pem", "root.pem", "generate.sh"} {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		somebody, err := signing.ParseTrusted("somebody", text)
		if (somebody == nil) == (err == nil) {
			t.Errorf("got %v and %v", somebody, err)
		}
		if signer, err := signing.ParseSigner(text); err == nil {
			if _, err := signer.Sign("m", nil); err != nil {
				t.Errorf("a key that was taken does not sign: %v", err)
			}
		}
	})
}
