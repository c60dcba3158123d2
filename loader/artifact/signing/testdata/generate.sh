#!/usr/bin/env bash
# Writes the signatures in this folder anew, with OpenSSL and the reference tool:
# PYTHON=… names a Python that has model-signing. The private keys are thrown
# away.
set -euo pipefail
cd "$(dirname "$0")"
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
sign() { "${PYTHON:-python3}" -m model_signing sign "$@"; }
key() { openssl ecparam -name "$2" -genkey -noout -out "$keys/$1.key"; }
subject() { printf '/O=Segue tests/CN=%s' "$1"; }

for curve in p256:prime256v1 p384:secp384r1 p521:secp521r1; do
	name=${curve%:*}
	key "$name" "${curve#*:}"
	openssl ec -in "$keys/$name.key" -pubout -out "$name.pub.pem" 2>/dev/null
	sign key folder --private_key "$keys/$name.key" --signature "key-$name.sig"
done
"${PYTHON:-python3}" - "$keys/p256.key" <<'END'
import sys
from model_signing import hashing, signing
config = signing.Config().use_elliptic_key_signer(private_key=sys.argv[1])
config.set_hashing_config(hashing.Config().use_file_serialization(hashing_algorithm="blake2")).sign("folder", "key-blake2.sig")
config.set_hashing_config(hashing.Config().use_shard_serialization()).sign("folder", "key-shards.sig")
END

for root in root other-root; do
	key "$root" secp384r1
	openssl req -x509 -new -key "$keys/$root.key" -sha384 -days 36500 -subj "$(subject "$root")" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out "$root.pem"
done
issue() { # name, curve, authority, extensions
	key "$1" "$2"
	openssl req -new -key "$keys/$1.key" -subj "$(subject "$1")" -out "$keys/$1.csr"
	openssl x509 -req -in "$keys/$1.csr" -CA "$3" -CAkey "$keys/$(basename "$3" .pem).key" -CAcreateserial -CAserial "$keys/serial" \
		-days 36500 -sha256 -extfile <(printf '%b' "$4") -out "$keys/$1.pem" 2>/dev/null
}
issue intermediate prime256v1 root.pem 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n'
issue release prime256v1 "$keys/intermediate.pem" 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectAltName=email:release@models.example\n'
issue coder secp521r1 "$keys/intermediate.pem" 'basicConstraints=CA:FALSE\nextendedKeyUsage=codeSigning\n'
issue cipher prime256v1 "$keys/intermediate.pem" 'basicConstraints=CA:FALSE\nkeyUsage=critical,keyEncipherment\n'
for name in release coder cipher; do
	sign certificate folder --private_key "$keys/$name.key" --signing_certificate "$keys/$name.pem" \
		--certificate_chain "$keys/intermediate.pem" --signature "certificate-$name.sig"
done
