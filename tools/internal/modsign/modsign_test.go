package modsign

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func generate(t *testing.T, kind string) (secret, cert []byte) {
	t.Helper()
	secret, cert, err := Generate(kind, "test key", epoch, 100)
	if err != nil {
		t.Fatal(err)
	}
	return secret, cert
}

// openssl, an implementation of CMS of its own, must take our signatures, and
// make the same ones where the algorithm leaves no choice.
func TestAgainstOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on this machine")
	}
	module := bytes.Repeat([]byte("\x7fELF module "), 1000)
	for _, kind := range []string{"rsa", "ecdsa"} {
		t.Run(kind, func(t *testing.T) {
			secret, cert := generate(t, kind)
			k, err := ParseKey(secret)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := Sign(module, k, crypto.SHA512)
			if err != nil {
				t.Fatal(err)
			}
			body, sig, err := Split(signed)
			if err != nil || !bytes.Equal(body, module) {
				t.Fatalf("the signed module does not come apart: %v", err)
			}
			dir := t.TempDir()
			write := func(name string, data []byte) string {
				p := filepath.Join(dir, name)
				if err := os.WriteFile(p, data, 0o600); err != nil {
					t.Fatal(err)
				}
				return p
			}
			content, der := write("module", module), write("sig", sig)
			pemCert := write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
			args := []string{"cms", "-verify", "-binary", "-inform", "DER", "-in", der, "-content", content,
				"-nointern", "-certfile", pemCert, "-CAfile", pemCert, "-purpose", "any", "-out", os.DevNull, "-no_check_time"}
			if out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
				t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
			}
			args[8] = write("bad", append([]byte("x"), module...))
			if err := exec.CommandContext(t.Context(), openssl, args...).Run(); err == nil {
				t.Error("openssl takes the signature for another module's, too")
			}
			if kind != "rsa" {
				return
			}
			key := write("key.pem", secret)
			out := filepath.Join(dir, "theirs")
			args = []string{"cms", "-sign", "-binary", "-noattr", "-nocerts", "-nosmimecap", "-md", "sha512", "-signer", key, "-inkey", key, "-in", content, "-outform", "DER", "-out", out}
			if msg, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
				t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, msg)
			}
			theirs, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(theirs, sig) {
				t.Errorf("openssl makes %x, we make %x", theirs, sig)
			}
		})
	}
}

func TestSignReplaces(t *testing.T) {
	secret, _ := generate(t, "ecdsa")
	k, err := ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	once, err := Sign([]byte("module"), k, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := Sign(once, k, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if body, sig, err := Split(twice); err != nil || string(body) != "module" || sig == nil {
		t.Errorf("signed twice it is %q with a signature of %d bytes: %v", body, len(sig), err)
	}
	if !bytes.HasSuffix(twice, []byte("~Module signature appended~\n")) || bytes.Count(twice, []byte(magic)) != 1 {
		t.Error("the marker is not there once, at the end")
	}
}

func TestCertificate(t *testing.T) {
	_, der := generate(t, "ecdsa")
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if c.IsCA || !c.BasicConstraintsValid || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.SubjectKeyId) != 20 || c.Subject.CommonName != "test key" {
		t.Errorf("the certificate is %+v", c)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	secret, _ := generate(t, "ecdsa")
	other, _ := generate(t, "ecdsa")
	key, rest := pem.Decode(secret)
	_, otherRest := pem.Decode(other)
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":           {nil, "no private key"},
		"only a key":        {pem.EncodeToMemory(key), "no certificate"},
		"only the cert":     {rest, "no private key"},
		"another key's":     {append(pem.EncodeToMemory(key), otherRest...), "another key"},
		"an encrypted key":  {pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}), "encrypted"},
		"a broken key":      {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), "asn1"},
		"a broken cert too": {append(pem.EncodeToMemory(key), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})...), "x509"},
	} {
		if _, err := ParseKey(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	for name, module := range map[string]string{
		"short": "12345" + magic,
		"long":  "module" + "\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\xff\xff" + magic,
	} {
		if _, _, err := Split([]byte(module)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
