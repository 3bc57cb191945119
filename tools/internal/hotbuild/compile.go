package hotbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cloudkernel/kpatch-arm64/object"
	"cloudkernel/tools/internal/proc"
)

// CompileError is what a compiler that failed said.
type CompileError struct {
	Target string
	Log    string // everything it printed
}

func (e *CompileError) Error() string {
	first := ""
	for line := range strings.Lines(e.Log) {
		if strings.Contains(line, "error:") {
			first = ": " + strings.TrimSpace(line)
			break
		}
	}
	return fmt.Sprintf("compile %s%s", e.Target, first)
}

// Format prints the whole log for %+v.
func (e *CompileError) Format(f fmt.State, verb rune) {
	fmt.Fprint(f, e.Error())
	if verb == 'v' && f.Flag('+') {
		fmt.Fprint(f, "\n", e.Log)
	}
}

// tool is a place to run the recorded commands in.
type tool struct {
	dir       string              // the build directory, or its stand-in
	translate func(string) string // for absolute paths
	out       string              // directory for what comes out
	include   string              // directory of hotpatch.h
}

// compiled is what a compiler made of one source.
type compiled struct {
	data []byte
	deps []string
}

// sections are the flags by which every function and datum gets a section of
// its own. They do not change code: anchors, which address several variables by
// one, only exist where variables share a section.
var sections = []string{"-ffunction-sections", "-fdata-sections", "-fno-section-anchors"}

// object compiles a C source as recorded, by way of assembly in which local
// names are kept (see object.Globalize).
func (t *tool) object(ctx context.Context, c *cmdFile) (*compiled, error) {
	args, err := t.command(c)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(t.out, strings.ReplaceAll(c.target, "/", "_"))
	asm, obj, deps := base+".s", base+".o", base+".d"
	first := append(retarget(args, asm, deps, "-S"), sections...)
	first = append(first, "-g")
	if t.include != "" {
		first = append(first, "-idirafter", t.include)
	}
	if err := t.run(ctx, c, first); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(asm)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(asm, object.Globalize(text), 0o644); err != nil {
		return nil, err
	}
	if err := t.run(ctx, c, append(assembling(args, c.source), "-c", "-o", obj, asm)); err != nil {
		return nil, err
	}
	res := &compiled{}
	if res.data, err = os.ReadFile(obj); err != nil {
		return nil, err
	}
	_ = os.Remove(asm) // they are large
	res.deps, err = readDeps(deps)
	return res, err
}

// plain runs the recorded command as it is, into another file, and returns
// what it made.
func (t *tool) plain(ctx context.Context, c *cmdFile) (*compiled, error) {
	args, err := t.command(c)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(t.out, strings.ReplaceAll(c.target, "/", "_"))
	if err := t.run(ctx, c, retarget(args, base, base+".d", "")); err != nil {
		return nil, err
	}
	res := &compiled{}
	if res.data, err = os.ReadFile(base); err != nil {
		return nil, err
	}
	res.deps, err = readDeps(base + ".d")
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return res, err
}

// command returns the words of a recorded command for this place.
func (t *tool) command(c *cmdFile) ([]string, error) {
	args, err := c.args()
	if err != nil {
		return nil, err
	}
	if len(args) < 2 {
		return nil, fmt.Errorf("%s: the recorded command is empty", c.target)
	}
	if t.translate != nil {
		for i, a := range args {
			args[i] = t.translate(a)
		}
	}
	return args, nil
}

func (t *tool) run(ctx context.Context, c *cmdFile, args []string) error {
	cmd := proc.Command(ctx, args[0], args[1:]...)
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if out.Len() == 0 {
			fmt.Fprintf(&out, "%s: %v\n", args[0], err)
		}
		return &CompileError{c.target, out.String()}
	}
	return nil
}

// retarget makes a compile command write elsewhere. mode, if not "", takes the
// place of -c.
func retarget(args []string, out, deps, mode string) []string {
	var list []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-o" && i+1 < len(args):
			list = append(list, "-o", out)
			i++
		case a == "-c" && mode != "":
			list = append(list, mode)
		case strings.HasPrefix(a, "-Wp,-MMD,"), strings.HasPrefix(a, "-Wp,-MD,"):
			list = append(list, "-Wp,-MMD,"+deps)
		case a == "-gsplit-dwarf", strings.HasPrefix(a, "-gz"), strings.HasPrefix(a, "-Wa,--compress-debug-sections"):
		default:
			list = append(list, a)
		}
	}
	return list
}

// assembling returns the part of a compile command that matters to the
// assembler.
func assembling(args []string, source string) []string {
	var list []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-o" || a == "-include" || a == "-isystem" || a == "-idirafter":
			i++
		case a == "-c" || a == "-nostdinc" || i == len(args)-1 && strings.HasSuffix(a, filepath.Base(source)):
		case strings.HasPrefix(a, "-Wp,"), strings.HasPrefix(a, "-D"), strings.HasPrefix(a, "-I"), strings.HasPrefix(a, "-g"),
			strings.HasPrefix(a, "-Wa,--compress-debug-sections"):
		default:
			list = append(list, a)
		}
	}
	return list
}

// readDeps reads the files a compiler says it read.
func readDeps(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(strings.ReplaceAll(string(data), "\\\n", " "), ":")
	rest, _, _ = strings.Cut(rest, "\n")
	return strings.Fields(rest), nil
}
