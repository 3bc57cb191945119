package modsign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Generate makes a key of a kind (rsa: 4096 bits; ecdsa: P-384) with a
// certificate that it signs itself, with the extensions of the kernel's own
// signing certificate (certs/default_x509.genkey). It returns private key and
// certificate in PEM, to be kept secret, and the certificate alone in DER, to
// be built into the kernel (CONFIG_SYSTEM_TRUSTED_KEYS) or enrolled.
func Generate(kind, name string, from time.Time, years int) (secret, cert []byte, err error) {
	var signer crypto.Signer
	switch kind {
	case "rsa":
		signer, err = rsa.GenerateKey(rand.Reader, 4096)
	case "ecdsa":
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		return nil, nil, fmt.Errorf("unknown kind of key %q: it is rsa or ecdsa", kind)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: from, NotAfter: from.AddDate(years, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		SignatureAlgorithm: x509.SHA512WithRSA,
	}
	if kind == "ecdsa" {
		t.SignatureAlgorithm = x509.ECDSAWithSHA512
	}
	pub, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, nil, err
	}
	h := crypto.SHA256.New()
	h.Write(pub)
	t.SubjectKeyId = h.Sum(nil)[:20]
	t.AuthorityKeyId = t.SubjectKeyId
	if cert, err = x509.CreateCertificate(rand.Reader, t, t, signer.Public(), signer); err != nil {
		return nil, nil, fmt.Errorf("make a certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: der}, {Type: "CERTIFICATE", Bytes: cert}} {
		if err := pem.Encode(&b, block); err != nil {
			return nil, nil, err
		}
	}
	return b.Bytes(), cert, nil
}
