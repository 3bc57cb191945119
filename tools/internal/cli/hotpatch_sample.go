package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/hotbuild"
	"cloudkernel/tools/internal/hotsample"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
)

type sampleOptions struct {
	kernelOptions
	count, jobs int
	markdown    string
	json, build bool
	timeout     time.Duration
}

func newHotpatchSampleCmd(a *app) *cobra.Command {
	var o sampleOptions
	cmd := &cobra.Command{
		Use:   "hotpatch-sample SOURCE",
		Short: "Make hotpatches of what differs in another release, and try each in a guest",
		Long: `hotpatch-sample takes the source tree of another release of the kernel. Of the
files that the series' arm64 kernel is compiled from and that differ there, it
takes an evenly spread sample, makes a hotpatch of each file's difference, and
applies, reverts and unloads each in a guest that is kept busy.

  kernlab hotpatch-sample linux-6.12.113
  kernlab hotpatch-sample linux-6.12.113 --count 0 --markdown table.md

Files that the series itself changes are left out. The other release may be
older: the hotpatches then undo its fixes, which is as good a test. A change that
was refused is no failure; a module that was made and did not do is one.

` + outcome.ExitStatus(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("hotpatch-sample takes the source tree of another release")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSample(cmd.Context(), a, &o, args[0]) },
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.IntVar(&o.count, "count", 60, "how many files; 0 is all")
	f.IntVarP(&o.jobs, "jobs", "j", runtime.NumCPU(), "hotpatches made at once")
	f.StringVar(&o.markdown, "markdown", "", "write the table to this `FILE`")
	f.BoolVar(&o.json, "json", false, "print what came out as JSON")
	f.BoolVar(&o.build, "build-only", false, "make the hotpatches and boot no guest")
	f.DurationVar(&o.timeout, "boot-timeout", lab.DefaultTimeout, "how long the guest may take to come up")
	return cmd
}

func runSample(ctx context.Context, a *app, o *sampleOptions, other string) error {
	b, err := a.builder(&o.kernelOptions)
	if err != nil {
		return err
	}
	k, release, err := b.Build(ctx, o.request(arch.ARM64))
	if err != nil {
		return err
	}
	defer release()
	items, err := o.make(ctx, a, b, other)
	if err != nil {
		return err
	}
	if !o.build {
		if err := o.load(ctx, a, b, k, items); err != nil {
			return err
		}
	}
	return o.report(a, k, other, items)
}

// make makes the sample's modules.
func (o *sampleOptions) make(ctx context.Context, a *app, b *kernel.Builder, other string) ([]*hotsample.Item, error) {
	tree, unlock, err := b.Tree(ctx, o.request(arch.ARM64))
	if err != nil {
		return nil, err
	}
	defer unlock()
	pin, err := base.ReadPin(filepath.Join(a.root, "kernel-patches", "base"))
	if err != nil {
		return nil, err
	}
	src, release, err := base.Get(ctx, b.Store, pin, b.Base)
	if err != nil {
		return nil, err
	}
	defer release()
	k, err := hotbuild.OpenKernel(tree.Build)
	if err != nil {
		return nil, err
	}
	items, err := hotsample.Choose(k, src.Dir, other, o.count)
	if err != nil {
		return nil, err
	}
	n := 0
	return items, hotsample.Build(ctx, k, items, o.jobs, func(i *hotsample.Item) {
		n++
		fmt.Fprintf(a.err, "%s  %d of %d  %-8s %s  %s\n", time.Now().Format("15:04:05"), n, len(items), i.Outcome, i.File, i.Why)
	})
}

// load tries the modules in a guest.
func (o *sampleOptions) load(ctx context.Context, a *app, b *kernel.Builder, k *kernel.Kernel, items []*hotsample.Item) error {
	command, release, err := (&payload.Maker{Store: b.Store, Kernels: b, Root: a.root}).Hotpatch(ctx, arch.ARM64)
	if err != nil {
		return err
	}
	defer release()
	g, err := lab.Boot(ctx, lab.Spec{
		Arch: arch.ARM64, Kernel: k.Image(), Store: b.Store, Repo: a.root, CPUs: 2, MemoryMiB: 1024,
		Files: hotsample.Entries(items, command), Timeout: o.timeout, Progress: a.err,
	})
	if err != nil {
		return err
	}
	defer g.Close()
	return hotsample.Load(ctx, g, items, func(i *hotsample.Item) {
		fmt.Fprintf(a.err, "%s  %-8s %s  %s\n", time.Now().Format("15:04:05"), i.Outcome, i.File, i.Why)
	})
}

func (o *sampleOptions) report(a *app, k *kernel.Kernel, other string, items []*hotsample.Item) error {
	if o.markdown != "" {
		f, err := os.Create(o.markdown)
		if err != nil {
			return err
		}
		title := fmt.Sprintf("Hotpatches of what differs between %s and %s", k.Release, filepath.Base(other))
		if err := hotsample.Markdown(f, title, items); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	counts := hotsample.Count(items)
	if o.json {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		if err := e.Encode(struct {
			hotsample.Counts
			Items []*hotsample.Item `json:"items"`
		}{counts, items}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%d changes, %d of function bodies alone, %d loaded: %v\n", counts.Items, counts.Patchable, counts.Loaded, counts.Outcomes)
	}
	if counts.Outcomes[hotsample.Failed]+counts.Outcomes[hotsample.Broken] > 0 {
		return exitError(outcome.Fail.Exit())
	}
	return nil
}
