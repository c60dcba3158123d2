// Package signing reads and writes the detached signatures of artifacts: a
// Sigstore bundle (v0.3) with a DSSE envelope over an in-toto statement that
// names every file with its SHA-256, as OpenSSF model-signing 1.0 and later
// writes it for a key or a certificate. Both are checked without a network.
//
// The package promises that what Verify returns was signed by one of those
// trusted, and that nothing of a statement is parsed before its signature was
// found good. What it accepts of a folder, `model_signing verify key` or
// `verify certificate` accepts too, and the other way round, but for what its
// errors name: other hashes than SHA-256, files signed in shards, and
// signatures of releases before 1.0. Sigstore's keyless signatures are refused:
// they need a transparency log.
//
// A signature has no time of its own. As in model-signing, a certificate's chain
// is judged at the moment from which the certificate is valid, so it outlives
// the certificate; a signer is withdrawn by trusting it no more.
//
// It never reads a file; who calls it has hashed them.
//
//	release, err := signing.ParseTrusted("release", pem)
//	…
//	signature, err := signing.Verify(bundle, []*signing.Trusted{release})
//	if err == nil {
//		err = signature.Covers(files)
//	}
package signing
