package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
)

// bootOptions are what 'kernlab boot' was asked for.
type bootOptions struct {
	kernelOptions
	arch     *arch.Arch
	kernel   string
	machine  string
	cpus     int
	memory   int
	gdb      string
	packages []string
	shares   []string
	append   string
	nested   bool
	network  bool
	exact    bool
	console  bool
	keep     string
	timeout  time.Duration
}

func newBootCmd(a *app) *cobra.Command {
	var o bootOptions
	cmd := &cobra.Command{
		Use:   "boot [flags] [-- COMMAND [ARG...]]",
		Short: "Boot a kernel in QEMU, for a shell or one command",
		Long: `boot starts a guest and gives you a shell in it; with a COMMAND it runs that and
ends with its exit code. Standard input, output and error are the command's, so
a guest can stand in a pipeline.

  kernlab boot                                    a shell on the patched kernel, arm64
  kernlab boot --arch x86_64 -- uname -a          one command
  kernlab boot --share . -- /mnt/src/run-it       with a directory of the host
  kernlab boot --package stress-ng -- stress-ng --cpu 2 -t 5
  kernlab boot --kvm-in-guest --package qemu-system-arm
  kernlab boot --gdb                              waits for a debugger
  kernlab boot --kernel Image -- cat /proc/version

The guest's PID 1 is a small agent that the host talks to over a virtio channel;
commands are busybox's, and those of the Debian packages that --package names.
What the guest writes is gone when it ends, except in a --share.

In the shell all keys are the guest's, Ctrl-C too. Enter ~ . leaves a guest that
does not answer. When the kernel panics, boot ends with the last lines of the
console and exit code 3.

` + outcome.ExitStatus(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return usageError{fmt.Errorf("unexpected %q: put -- before the command to run in the guest", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBoot(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	addArchFlag(f, &o.arch)
	o.kernelOptions.addFlags(f)
	f.StringVar(&o.kernel, "kernel", "", "boot this `IMAGE` (Image or bzImage) and build none")
	f.StringVar(&o.machine, "machine", "", "QEMU machine: virt (arm64), q35 or microvm (x86_64)")
	f.IntVar(&o.cpus, "cpus", 0, "virtual CPUs (default 2)")
	f.VarP(memoryValue{&o.memory}, "memory", "m", "memory of this `SIZE`: 512M, 2G (default 1G)")
	f.StringVar(&o.gdb, "gdb", "", "stop at the first instruction and wait for a debugger at `ADDRESS`")
	f.Lookup("gdb").NoOptDefVal = "127.0.0.1:1234"
	f.StringArrayVar(&o.packages, "package", nil, "have this Debian `PACKAGE` and what it depends on in the guest (repeatable)")
	f.StringArrayVar(&o.shares, "share", nil, "mount a directory of the host, `DIR[:GUESTPATH][:ro]`, by default at /mnt/DIR (repeatable)")
	f.StringVar(&o.append, "append", "", "add `TEXT` to the kernel's command line")
	f.BoolVar(&o.nested, "kvm-in-guest", false, "give the guest virtualization of its own, so that it has a working /dev/kvm")
	f.BoolVar(&o.network, "network", false, "give the guest a user-mode network")
	f.BoolVar(&o.exact, "deterministic", false, "make time an instruction count (one CPU): two runs are the same")
	f.BoolVar(&o.console, "console", false, "copy the guest's console to standard error")
	f.StringVar(&o.keep, "keep", "", "keep the run's files (console.log, qemu.txt) in `DIR`")
	f.DurationVar(&o.timeout, "boot-timeout", lab.DefaultTimeout, "how long the guest may take to come up")
	return cmd
}

func runBoot(ctx context.Context, a *app, o bootOptions, argv []string) error {
	spec, err := o.spec(a)
	if err != nil {
		return err
	}
	vmlinux := "vmlinux"
	if o.kernel == "" {
		b, err := a.builder(&o.kernelOptions)
		if err != nil {
			return err
		}
		k, release, err := b.Build(ctx, o.request(o.arch))
		if err != nil {
			return err
		}
		defer release()
		spec.Kernel, vmlinux = k.Image(), k.Vmlinux()
	}
	if spec.GDB != nil {
		fmt.Fprintf(a.err, "kernlab: the guest waits for a debugger; in another terminal:\n  gdb-multiarch %s -ex 'target remote %s'\n", vmlinux, o.gdb)
	}
	g, err := lab.Boot(ctx, spec)
	if err != nil {
		return err
	}
	defer g.Close()
	fmt.Fprintf(a.err, "kernlab: Linux %s on %s, %d CPUs, %d MiB, up in %.1f s; %s\n",
		g.Hello.Release, o.arch, g.Hello.CPUs, g.Hello.Memory>>20, g.Booted.Seconds(), g.Accel)
	code, err := o.run(ctx, a, g, argv)
	if err != nil {
		return ended(g, err)
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}

// spec returns the guest that was asked for, but for a kernel to be built.
func (o bootOptions) spec(a *app) (lab.Spec, error) {
	st, err := a.store()
	if err != nil {
		return lab.Spec{}, err
	}
	s := lab.Spec{
		Arch: o.arch, Kernel: o.kernel, Store: st, Repo: a.root,
		Machine: o.machine, CPUs: o.cpus, MemoryMiB: o.memory, Cmdline: o.append,
		Packages: o.packages, Network: o.network, NestedKVM: o.nested, Deterministic: o.exact,
		Timeout: o.timeout, Dir: o.keep, Progress: a.err,
	}
	if o.machine != "" && !slices.Contains(machine.Machines(o.arch), o.machine) {
		return s, usageError{fmt.Errorf("--machine %s is not one of %s: it has %s", o.machine, o.arch, strings.Join(machine.Machines(o.arch), ", "))}
	}
	for _, text := range o.shares {
		share, err := lab.ParseShare(text)
		if err != nil {
			return s, usageError{err}
		}
		s.Shares = append(s.Shares, share)
	}
	if o.gdb != "" {
		s.GDB = &machine.GDB{Addr: o.gdb, Wait: true}
		s.Timeout = 0
	}
	if o.console {
		eol := "\n"
		if isTerminal(a.err) {
			eol = "\r\n" // it may be raw, for the shell
		}
		s.OnLine = func(line string) { fmt.Fprint(a.err, line, eol) }
	}
	return s, nil
}

// run runs the command, or a shell, on the streams we have.
func (o bootOptions) run(ctx context.Context, a *app, g *lab.Guest, argv []string) (int, error) {
	cmd := guest.Cmd{Argv: argv, Stdin: a.in, Stdout: a.out, Stderr: a.err}
	if len(argv) == 0 {
		cmd.Argv = []string{"sh"}
	}
	in, ok := a.in.(*os.File)
	if !ok || !isTerminal(a.in) || !isTerminal(a.out) {
		return g.Run(ctx, cmd)
	}
	if len(argv) == 0 {
		cmd.Argv = []string{"sh", "-l"}
		fmt.Fprintf(a.err, "kernlab: %s\n", guest.EscapeHelp)
	}
	return g.Shell(ctx, cmd, in)
}

func isTerminal(s any) bool {
	f, ok := s.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// ended says why a command has no exit code. A guest that was switched off by
// what ran in it did what it was told.
func ended(g *lab.Guest, err error) error {
	err = g.Explain(err)
	switch {
	case errors.Is(err, lab.ErrSwitchedOff):
		return nil
	case errors.Is(err, guest.ErrLeft):
		return exitError(outcome.ExitInterrupted)
	}
	return err
}
