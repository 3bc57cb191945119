package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/outcome"
)

// kernelOptions say which kernel a command is about. Several commands share them.
type kernelOptions struct {
	profile string
	without []string
	plain   bool
	options []string
	base    string
	baseSum string
	jobs    int
}

func (o *kernelOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.profile, "profile", kernel.DefaultProfile, "configuration profile: default, debug, or any fragment in kernel-patches/configs")
	f.StringSliceVar(&o.without, "without", nil, "leave a `topic` of the series out (may be given several times)")
	f.BoolVar(&o.plain, "plain", false, "the base alone, without the series")
	f.StringArrayVar(&o.options, "option", nil, "one more configuration `line`, such as CONFIG_KSM=y (may be given several times)")
	f.StringVar(&o.base, "base", "", "take the base from this tree or tarball, or from this `source` of kernel-patches/base")
	f.StringVar(&o.baseSum, "base-sha256", "", "digest that --base must have, where kernel-patches/base knows none")
	f.IntVar(&o.jobs, "make-jobs", 0, "compilers at once (default: one more than CPUs)")
}

func (o *kernelOptions) request(a *arch.Arch) kernel.Request {
	return kernel.Request{Arch: a, Profile: o.profile, Without: o.without, Plain: o.plain, Options: o.options}
}

// builder returns a builder for the repository.
func (a *app) builder(o *kernelOptions) (*kernel.Builder, error) {
	st, err := a.store()
	if err != nil {
		return nil, err
	}
	return &kernel.Builder{Root: a.root, Store: st, Base: base.Options{Base: o.base, SHA256: o.baseSum, Progress: a.err}, Jobs: o.jobs, Err: a.err}, nil
}

type buildOptions struct {
	kernelOptions
	arch    string
	json    bool
	key     bool
	verbose bool
}

func newBuildCmd(a *app) *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build a kernel of the series",
		Long: `build applies the series to the base, configures and builds a kernel, and keeps
it. A kernel is kept by what it was made from: the base, the files as the series
leaves them, the configuration and the compiler. When all of these are as they
were, nothing is built.

  kernlab build                          the series for arm64
  kernlab build --arch all               for both architectures
  kernlab build --profile debug          with KASAN, lockdep and their friends
  kernlab build --without vmf            without one topic
  kernlab build --plain                  the base, to compare with
  kernlab build --option CONFIG_KSM=y    one option more
  kernlab build --option CONFIG_CC_IS_CLANG=y    compiled by clang, not GCC

The configuration is tinyconfig and the fragments in kernel-patches/configs:
common, the architecture's, one a topic, and the profile's. An option asked for
that kconfig drops is an error that says where it was asked for and what it
depends on.

` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBuild(cmd.Context(), a, &o) },
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringVar(&o.arch, "arch", "arm64", "architecture: arm64, x86_64 or all")
	f.BoolVar(&o.json, "json", false, "print what was built as JSON, one object a line")
	f.BoolVar(&o.key, "key", false, "print the kernel's key and build nothing: two kernels with one key are the same")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show what make prints")
	return cmd
}

// parseArches returns the architectures that a flag names.
func parseArches(s string) ([]*arch.Arch, error) {
	if s == "all" {
		return arch.All, nil
	}
	var list []*arch.Arch
	for _, name := range strings.Split(s, ",") {
		a, err := arch.Parse(name)
		if err != nil {
			return nil, usageError{err}
		}
		list = append(list, a)
	}
	return list, nil
}

func runBuild(ctx context.Context, a *app, o *buildOptions) error {
	arches, err := parseArches(o.arch)
	if err != nil {
		return err
	}
	b, err := a.builder(&o.kernelOptions)
	if err != nil {
		return err
	}
	if o.verbose {
		b.Tee = a.err
	}
	for _, ar := range arches {
		if o.key {
			key, err := b.Key(ctx, o.request(ar))
			if err != nil {
				return err
			}
			fmt.Fprintln(a.out, key)
			continue
		}
		start := time.Now()
		k, release, err := b.Build(ctx, o.request(ar))
		if err != nil {
			return err
		}
		if o.json {
			err = json.NewEncoder(a.out).Encode(struct {
				kernel.Info
				Dir    string `json:"dir"`
				Cached bool   `json:"cached"`
			}{k.Info, k.Dir, k.Cached})
		} else {
			how := fmt.Sprintf("built in %s, %d objects", time.Since(start).Round(time.Second), k.Objects)
			if k.Cached {
				how = "nothing to do"
			}
			_, err = fmt.Fprintf(a.out, "%s %s  %s  (%s)\n", ar, k.Release, k.Image(), how)
			for _, w := range k.Warnings {
				fmt.Fprintln(a.out, "  "+w)
			}
		}
		release()
		if err != nil {
			return err
		}
	}
	return nil
}
