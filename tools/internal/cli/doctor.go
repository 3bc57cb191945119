package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/doctor"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
)

type doctorOptions struct {
	uses    []string
	install bool
	json    bool
	quiet   bool
}

func (o *doctorOptions) AddFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.uses, "for", nil, "look only at what these `uses` need; an architecture stands for all that its cases need, all for everything (default: what the tests need)")
	f.BoolVar(&o.install, "install", false, "install what is missing with apt-get, then look again")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print only what is not in order")
	f.BoolVar(&o.json, "json", false, "print the findings as JSON")
}

func newDoctorCmd(a *app) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine has and lacks, and put it right",
		Long: `doctor looks at everything that building, booting and testing need of this
machine: programs and their versions, libraries, disk, memory, file locks, the
accelerator for guests, the package archive. For what is missing it prints the
command that brings it; --install runs that command, once, for all of it.

What is in round brackets is optional: things work without it, only worse.

  kernlab doctor                      look
  kernlab doctor --install            install what is missing
  kernlab doctor --for build-arm64    look only at what one use needs

The uses:
` + usesText() + `
` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
		// A machine can be looked at from anywhere.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDoctor(cmd.Context(), a, o)
		},
	}
	o.AddFlags(cmd.Flags())
	_ = cmd.RegisterFlagCompletionFunc("for", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names := []string{"all", "arm64", "x86_64"}
		for _, u := range doctor.AllUses() {
			names = append(names, string(u))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func usesText() string {
	var b strings.Builder
	for _, u := range doctor.AllUses() {
		fmt.Fprintf(&b, "  %-14s %s\n", u, u.Title())
	}
	return b.String()
}

func runDoctor(ctx context.Context, a *app, o doctorOptions) error {
	opt, err := o.check(a)
	if err != nil {
		return err
	}
	r, err := doctor.Check(ctx, opt)
	if err != nil {
		return err
	}
	if o.install && len(r.Install) > 0 {
		if err := doctor.Install(ctx, a.err, r); err != nil {
			return err
		}
		if r, err = doctor.Check(ctx, opt); err != nil {
			return err
		}
	}
	if o.json {
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		err = r.Text(a.out, o.quiet)
	}
	if err == nil && !r.OK() {
		err = exitError(outcome.Infra.Exit())
	}
	return err
}

// check turns the command line into what is to be looked at.
func (o *doctorOptions) check(a *app) (doctor.Options, error) {
	uses, err := doctor.ParseUses(o.uses)
	if err != nil {
		return doctor.Options{}, usageError{err}
	}
	st, err := a.store()
	if err != nil {
		return doctor.Options{}, err
	}
	accelerator := func(ctx context.Context, a *arch.Arch) (name, line string, err error) {
		v, err := machine.Probe(ctx, st, a)
		return strings.ToUpper(string(v.Accel)), v.String(), err
	}
	return doctor.Options{Uses: uses, CacheDir: st.Dir(), Accelerator: accelerator}, nil
}
