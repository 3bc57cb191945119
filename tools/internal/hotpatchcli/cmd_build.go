package hotpatchcli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/hotbuild"
	"cloudkernel/tools/internal/outcome"
)

type buildOptions struct {
	out, kernel, arch, keep string
	replace, explain, json  bool
}

func newBuildCmd(a *app) *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build FIX.patch...",
		Short: "Turn source patches into a livepatch module for one built kernel",
		Long: `build makes a livepatch module (.ko) from one or more source patches (mails of
git format-patch, git diff, or plain unified diffs), for exactly the kernel that
was built in the directory that --kernel names. That directory needs what every
kernel build leaves there: source, .config, vmlinux, Module.symvers and the .cmd
files. It is only read.

Only the objects that the patches touch are compiled, before and after the
change, with the command lines that kbuild recorded. Functions that differ are
replaced; what they need that the running kernel does not have comes along.
A change that cannot be made to a running kernel is refused, with the reason and
what to do instead.

A patch may include <hotpatch.h> for callbacks, shadow variables, and to say
what does not matter; see docs/hotpatch.md.

` + ExitStatus(),
		Example: `  hotpatch build fix.patch -o fix.ko --kernel ../linux/build
  hotpatch build 0001-*.patch 0002-*.patch -o both.ko --kernel build --replace --explain`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("build takes at least one patch; see '%s --help'", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuild(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "output", "o", "", "the module to write; its name becomes the module's (required)")
	f.StringVar(&o.kernel, "kernel", "", "directory that the kernel was built in (required)")
	f.StringVar(&o.arch, "arch", "arm64", "architecture of the kernel; must be that of --kernel")
	f.BoolVar(&o.replace, "replace", false, "make the module take the place of all hotpatches applied before it")
	f.BoolVar(&o.explain, "explain", false, "say why for every function and datum")
	f.BoolVar(&o.json, "json", false, "print one JSON object with everything found")
	f.StringVar(&o.keep, "keep", "", "fill this directory with the objects and sources the module is made from")
	return cmd
}

// buildReport is what build prints with --json.
type buildReport struct {
	Outcome  outcome.Outcome   `json:"outcome"`
	Module   string            `json:"module,omitempty"`
	Seconds  float64           `json:"seconds"`
	Manifest *module.Manifest  `json:"manifest,omitempty"`
	Objects  []hotbuild.Object `json:"objects"`
	Refusals []diff.Refusal    `json:"refusals"`
	Notes    []string          `json:"notes"`
}

func runBuild(ctx context.Context, a *app, o buildOptions, patches []string) error {
	start := time.Now()
	req, err := buildRequest(a, o, patches)
	if err != nil {
		return err
	}
	res, err := hotbuild.Build(ctx, *req)
	if err != nil && !errors.Is(err, hotbuild.ErrNothing) {
		return err
	}
	rep := buildReport{Outcome: outcome.Pass, Objects: []hotbuild.Object{}, Refusals: []diff.Refusal{}, Notes: []string{}}
	rep.Objects = append(rep.Objects, res.Objects...)
	rep.Refusals = append(rep.Refusals, res.Refusals...)
	rep.Notes = append(rep.Notes, res.Notes...)
	switch {
	case len(res.Refusals) > 0:
		rep.Outcome = outcome.Fail
	case err != nil:
		rep.Outcome = outcome.Skip
	default:
		if err := writeFile(o.out, res.Module); err != nil {
			return err
		}
		rep.Module, rep.Manifest = o.out, res.Manifest
	}
	rep.Seconds = time.Since(start).Seconds()
	if o.json {
		if err := printJSON(a.out, rep); err != nil {
			return err
		}
	} else {
		rep.text(a.out, o.explain)
	}
	if rep.Outcome != outcome.Pass {
		return exitError(rep.Outcome)
	}
	return nil
}

func buildRequest(a *app, o buildOptions, patches []string) (*hotbuild.Request, error) {
	switch {
	case o.out == "":
		return nil, usagef("name the module to write with -o, for example -o fix.ko")
	case o.kernel == "":
		return nil, usagef("name the directory that the kernel was built in with --kernel")
	}
	want, err := arch.Parse(o.arch)
	if err != nil {
		return nil, usageError{err}
	}
	if want != arch.ARM64 {
		return nil, outcome.Errorf(outcome.Fail, "%s is not supported yet: hotpatch makes modules for arm64", want)
	}
	name, err := hotbuild.ModuleName(o.out)
	if err != nil {
		return nil, usageError{err}
	}
	req := &hotbuild.Request{Name: name, Replace: o.replace, Version: version(), Keep: o.keep}
	for _, p := range patches {
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		patch, err := hotbuild.ParsePatch(p, data)
		if err != nil {
			return nil, err
		}
		req.Patches = append(req.Patches, patch)
	}
	if req.Kernel, err = hotbuild.OpenKernel(o.kernel); err != nil {
		return nil, err
	}
	if req.Keep != "" {
		if req.Keep, err = filepath.Abs(req.Keep); err != nil {
			return nil, err
		}
	}
	req.Progress = func(format string, args ...any) {
		fmt.Fprintf(a.err, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
	}
	return req, nil
}

func (r buildReport) text(w io.Writer, explain bool) {
	for _, o := range r.Objects {
		rep := o.Report
		rep.Refusals = nil // said once, below
		if len(rep.Changed)+len(rep.New)+len(rep.Data)+len(rep.Notes) > 0 {
			fmt.Fprintf(w, "%s\n", o.Name)
			rep.Text(indent{w}, explain)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note     %s\n", n)
	}
	for _, f := range r.Refusals {
		fmt.Fprintf(w, "refused  %v\n", f)
	}
	switch r.Outcome {
	case outcome.Pass:
		fmt.Fprintf(w, "%s: made for %s (build-id %s) in %.1f s\n", r.Module, r.Manifest.Release, r.Manifest.BuildID, r.Seconds)
	case outcome.Skip:
		fmt.Fprintln(w, "nothing to do: the patches change no code of this kernel")
	}
}

// indent writes lines two columns further in.
type indent struct{ w io.Writer }

func (i indent) Write(p []byte) (int, error) {
	if _, err := i.w.Write(append([]byte("  "), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeFile writes a file whole or not at all.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
