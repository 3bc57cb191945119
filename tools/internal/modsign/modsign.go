// Package modsign signs kernel modules, in the format that the kernel's own
// scripts/sign-file makes: after the module follow a CMS message (RFC 5652)
// that signs it, twelve bytes that say how long that is (struct
// module_signature, linux/module_signature.h), and a line of text by which the
// kernel recognises a signed module.
//
// The message names its signer by issuer and serial number, and carries
// neither certificates nor signed attributes: the kernel has the certificate in
// its keyring, or refuses the module.
package modsign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

const (
	magic     = "~Module signature appended~\n"
	idPKCS7   = 2 // PKEY_ID_PKCS7
	trailLen  = 12
	offIDType = 2 // id_type in struct module_signature
	offSigLen = 8 // sig_len, big-endian
)

// Key is a private key with its certificate.
type Key struct {
	signer crypto.Signer
	cert   *x509.Certificate
}

// ParseKey reads a key from PEM: a private key and a certificate, in any order,
// as in the kernel's certs/signing_key.pem.
func ParseKey(data []byte) (*Key, error) {
	k := &Key{}
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		var err error
		switch b.Type {
		case "CERTIFICATE":
			k.cert, err = x509.ParseCertificate(b.Bytes)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			k.signer, err = parsePrivate(b.Type, b.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			err = errors.New("it is encrypted: decrypt it first (openssl pkey -in KEY -out PLAIN)")
		}
		if err != nil {
			return nil, fmt.Errorf("read the signing key: %w", err)
		}
	}
	switch {
	case k.signer == nil:
		return nil, errors.New("read the signing key: there is no private key in it")
	case k.cert == nil:
		return nil, errors.New("read the signing key: there is no certificate in it")
	}
	pub, ok := k.signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(k.cert.PublicKey) {
		return nil, errors.New("read the signing key: the certificate is for another key")
	}
	return k, nil
}

func parsePrivate(kind string, der []byte) (crypto.Signer, error) {
	var key any
	var err error
	switch kind {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(der)
	default:
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	}
	return nil, errors.New("only RSA and ECDSA keys can sign modules")
}

// Subject returns the name in the key's certificate.
func (k *Key) Subject() string { return k.cert.Subject.String() }

// Sign returns the module with a signature by hash appended. A signature it
// has already is replaced.
func Sign(module []byte, k *Key, hash crypto.Hash) ([]byte, error) {
	body, _, err := Split(module)
	if err != nil {
		return nil, err
	}
	msg, err := message(body, k, hash)
	if err != nil {
		return nil, fmt.Errorf("sign the module: %w", err)
	}
	trail := make([]byte, trailLen)
	trail[offIDType] = idPKCS7
	binary.BigEndian.PutUint32(trail[offSigLen:], uint32(len(msg)))
	out := bytes.Clone(body)
	out = append(out, msg...)
	out = append(out, trail...)
	return append(out, magic...), nil
}

// Split separates a module from its signature, which is nil if it has none.
func Split(module []byte) (body, signature []byte, err error) {
	rest, ok := bytes.CutSuffix(module, []byte(magic))
	if !ok {
		return module, nil, nil
	}
	if len(rest) < trailLen {
		return nil, nil, errors.New("the module's signature is cut short")
	}
	trail := rest[len(rest)-trailLen:]
	rest = rest[:len(rest)-trailLen]
	n := uint64(binary.BigEndian.Uint32(trail[offSigLen:]))
	if n > uint64(len(rest)) {
		return nil, nil, errors.New("the module's signature is longer than the module")
	}
	return rest[:uint64(len(rest))-n], rest[uint64(len(rest))-n:], nil
}

// The structures of RFC 5652, sections 3, 5.1 and 5.3, as far as they are used.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version int
	Digests []pkix.AlgorithmIdentifier `asn1:"set"`
	Encap   struct{ Type asn1.ObjectIdentifier }
	Signers []signerInfo `asn1:"set"`
}

type signerInfo struct {
	Version   int
	ID        issuerAndSerial
	Digest    pkix.AlgorithmIdentifier
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

var hashes = map[crypto.Hash]struct{ digest, ecdsa asn1.ObjectIdentifier }{
	crypto.SHA256: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
	crypto.SHA384: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}},
	crypto.SHA512: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}},
}

// ParseHash returns the hash of a name: sha256, sha384 or sha512.
func ParseHash(name string) (crypto.Hash, error) {
	for h, n := range map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512"} {
		if n == name {
			return h, nil
		}
	}
	return 0, fmt.Errorf("unknown hash %q: it is sha256, sha384 or sha512", name)
}

// message returns the CMS message that signs data.
func message(data []byte, k *Key, hash crypto.Hash) ([]byte, error) {
	oids, ok := hashes[hash]
	if !ok {
		return nil, fmt.Errorf("hash %v is not supported", hash)
	}
	h := hash.New()
	h.Write(data)
	sig, err := k.signer.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	digest := pkix.AlgorithmIdentifier{Algorithm: oids.digest}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oids.ecdsa}
	if _, ok := k.signer.(*rsa.PrivateKey); ok {
		algorithm = pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
	}
	m := contentInfo{Type: oidSignedData, Content: signedData{
		Version: 1,
		Digests: []pkix.AlgorithmIdentifier{digest},
		Signers: []signerInfo{{
			Version: 1, Digest: digest, Algorithm: algorithm, Signature: sig,
			ID: issuerAndSerial{Issuer: asn1.RawValue{FullBytes: k.cert.RawIssuer}, Serial: k.cert.SerialNumber},
		}},
	}}
	m.Content.Encap.Type = oidData
	return asn1.Marshal(m)
}
