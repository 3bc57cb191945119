package hotbuild

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/proc"
)

// linkModule has kbuild compile the module's C file and link it with the
// objects, as it does for any module kept outside the kernel. It returns the
// path of the result.
func (k *Kernel) linkModule(ctx context.Context, dir, name, source string, objects [][]byte, cc []string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// What the parts say to debuggers was left behind, so neither does the rest.
	kbuild := fmt.Sprintf("ccflags-y := -g0\nobj-m := %s.o\n%s-y := register.o", name, name)
	files := map[string][]byte{"register.c": []byte(source)}
	for i, o := range objects {
		kbuild += fmt.Sprintf(" part%d.o", i)
		files[fmt.Sprintf("part%d.o_shipped", i)] = o
	}
	files["Kbuild"] = []byte(kbuild + "\n")
	for n, data := range files {
		if err := os.WriteFile(filepath.Join(dir, n), data, 0o644); err != nil {
			return "", err
		}
	}
	args := []string{
		"-s", "-C", k.Build, "M=" + dir, "ARCH=" + k.Arch.Kbuild, "CC=" + strings.Join(cc, " "),
		"CONFIG_DEBUG_INFO_BTF_MODULES=", "modules",
	}
	if cross, ok := strings.CutSuffix(filepath.Base(cc[len(cc)-1]), "gcc"); ok && cross != "" {
		args = append(args, "CROSS_COMPILE="+cross)
	}
	cmd := proc.Command(ctx, "make", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "MAKEFLAGS=", "KBUILD_MODPOST_WARN=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &CompileError{"the module " + name + ".ko with kbuild", out.String()}
	}
	return filepath.Join(dir, name+".ko"), nil
}
