package hotpatchcli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/modsign"
)

func newSignCmd(a *app) *cobra.Command {
	var key, hash, out string
	cmd := &cobra.Command{
		Use:   "sign FIX.ko",
		Short: "Sign a hotpatch for kernels that want signed modules",
		Long: `sign appends a signature in the format of the kernel's own scripts/sign-file.
The key file holds a private key and its certificate in PEM, as the kernel's
certs/signing_key.pem does, or as hotpatch keygen makes it. The kernel must have
the certificate: built in (CONFIG_SYSTEM_TRUSTED_KEYS), or enrolled as a machine
owner key. Signing what is signed replaces the signature.

` + ExitStatus(),
		Example: "  hotpatch sign fix.ko --key signing_key.pem",
		Args:    nArgs(1, "one module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if key == "" {
				return usagef("name the key with --key")
			}
			if out == "" {
				out = args[0]
			}
			return runSign(a, args[0], out, key, hash)
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "private key and certificate, in PEM (required)")
	f.StringVar(&hash, "hash", "sha512", "sha256, sha384 or sha512; the kernel must have it built in")
	f.StringVarP(&out, "output", "o", "", "where to write the signed module (default: in place)")
	return cmd
}

func runSign(a *app, path, out, key, hash string) error {
	h, err := modsign.ParseHash(hash)
	if err != nil {
		return usageError{err}
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	k, err := modsign.ParseKey(secret)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	signed, err := modsign.Sign(data, k, h)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := writeFile(out, signed); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s is signed by %s\n", out, k.Subject())
	return nil
}

func newKeygenCmd(a *app) *cobra.Command {
	var kind, name string
	var years int
	cmd := &cobra.Command{
		Use:   "keygen KEY.pem",
		Short: "Make a key to sign hotpatches with",
		Long: `keygen makes a private key with a certificate that it signs itself. KEY.pem
holds both and must be kept secret; KEY.x509 beside it holds the certificate
alone, to be built into the kernel (CONFIG_SYSTEM_TRUSTED_KEYS="KEY.pem" takes
PEM, too) or enrolled with mokutil. Existing files are not overwritten.

` + ExitStatus(),
		Args: nArgs(1, "the name of the key file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runKeygen(a, args[0], kind, name, years)
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "type", "rsa", "rsa (4096 bits) or ecdsa (P-384)")
	f.StringVar(&name, "name", "hotpatch signing key", "name in the certificate")
	f.IntVar(&years, "years", 30, "how long the certificate is valid")
	return cmd
}

func runKeygen(a *app, path, kind, name string, years int) error {
	secret, cert, err := modsign.Generate(kind, name, time.Now().Add(-time.Hour), years)
	if err != nil {
		return err
	}
	public := strings.TrimSuffix(path, filepath.Ext(path)) + ".x509"
	for _, f := range []struct {
		path string
		data []byte
		mode os.FileMode
	}{{path, secret, 0o600}, {public, cert, 0o644}} {
		file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if err != nil {
			return err
		}
		if _, err := file.Write(f.data); err != nil {
			file.Close()
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, "%s holds the key; keep it secret\n%s holds the certificate, for the kernel\n", path, public)
	return nil
}
