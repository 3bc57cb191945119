package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/bench"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/series"
)

func newCompletionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script that completes kernlab's commands in a shell",
		Long: `completion prints a script for the shell. It completes commands, flags,
architectures, topics of the series, and names of cases.

  source <(kernlab completion bash)                                   now
  kernlab completion bash > /etc/bash_completion.d/kernlab            always
  kernlab completion zsh > "${fpath[1]}/_kernlab"
  kernlab completion fish > ~/.config/fish/completions/kernlab.fish

` + outcome.ExitStatus(),
		Args:                  cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs:             []string{"bash", "zsh", "fish"},
		DisableFlagsInUseLine: true,
		PersistentPreRunE:     func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(a.out, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(a.out)
			default:
				return cmd.Root().GenFishCompletion(a.out, true)
			}
		},
	}
}

// completer returns the words that may stand where the user is.
type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// addCompletions lets the shell complete the values of the flags that several
// commands share, and the names of cases, wherever a command has not said so
// itself.
func (a *app) addCompletions(cmd *cobra.Command) {
	flags := map[string]completer{
		"arch":    completeArch,
		"profile": a.completeProfiles(),
		"without": a.completeTopics(),
	}
	for name, words := range flags {
		if cmd.LocalFlags().Lookup(name) == nil {
			continue
		}
		if _, said := cmd.GetFlagCompletionFunc(name); !said {
			_ = cmd.RegisterFlagCompletionFunc(name, words)
		}
	}
	if cmd.Name() == "test" && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = a.completeCases()
	}
	if cmd.Name() == "bench" {
		cmd.ValidArgsFunction = a.completeBenchmarks()
		_ = cmd.RegisterFlagCompletionFunc("vs", a.completeVariants())
	}
	for _, sub := range cmd.Commands() {
		a.addCompletions(sub)
	}
}

// completeArch completes architectures, and all of them together where the
// flag is not of one.
func completeArch(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, x := range arch.All {
		names = append(names, x.Name)
	}
	if cmd.Flag("arch").Value.Type() != (archValue{}).Type() {
		names = append(names, "all")
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeProfiles completes the profiles that there are fragments for.
func (a *app) completeProfiles() completer {
	return a.complete(func(root string) ([]string, error) {
		dir := filepath.Join(root, "kernel-patches")
		s, err := series.Load(dir)
		if err != nil {
			return nil, err
		}
		return kernel.Profiles(filepath.Join(dir, "configs"), s.Topics()), nil
	})
}

// completeTopics completes the topics of the series.
func (a *app) completeTopics() completer {
	return a.complete(func(root string) ([]string, error) {
		s, err := series.Load(filepath.Join(root, "kernel-patches"))
		if err != nil {
			return nil, err
		}
		return s.Topics(), nil
	})
}

// completeCases completes the names of cases ("smoke/boot"), and of the topics
// that they are below.
func (a *app) completeCases() completer {
	return a.complete(func(root string) ([]string, error) { return caseNames(os.DirFS(filepath.Join(root, "qemu-tests"))) })
}

// completeBenchmarks completes the names of benchmarks.
func (a *app) completeBenchmarks() completer {
	return a.complete(func(root string) ([]string, error) {
		list, err := bench.Load(root, filepath.Join(root, "qemu-tests"))
		var names []string
		for _, b := range list {
			names = append(names, b.Name)
		}
		return names, err
	})
}

// completeVariants completes what benchmarks may be compared with, as far as
// it is known beforehand.
func (a *app) completeVariants() completer {
	return a.complete(func(root string) ([]string, error) {
		dir := filepath.Join(root, "kernel-patches")
		s, err := series.Load(dir)
		if err != nil {
			return nil, err
		}
		names := []string{"plain"}
		for _, t := range s.Topics() {
			names = append(names, "without:"+t)
		}
		for _, p := range kernel.Profiles(filepath.Join(dir, "configs"), s.Topics())[1:] {
			names = append(names, "profile:"+p)
		}
		return names, nil
	})
}

// complete completes from what the repository holds, without descriptions.
func (a *app) complete(words func(root string) ([]string, error)) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		// The shell calls kernlab as it is typed: -C may not have been read as yet.
		root, err := findRoot(a.root)
		if err != nil {
			return cobra.AppendActiveHelp(nil, err.Error()), cobra.ShellCompDirectiveNoFileComp
		}
		list, err := words(root)
		if err != nil {
			return cobra.AppendActiveHelp(nil, err.Error()), cobra.ShellCompDirectiveNoFileComp
		}
		given := map[string]bool{}
		for _, w := range args {
			given[w] = true
		}
		var left []string
		for _, w := range list {
			if !given[w] && strings.HasPrefix(w, toComplete) {
				left = append(left, w)
			}
		}
		return left, cobra.ShellCompDirectiveNoFileComp
	}
}

// caseNames returns the topics in qemu-tests and the cases below them. It goes
// by the names of files alone, so that a case that cannot be read as yet is
// completed too.
func caseNames(tests fs.FS) ([]string, error) {
	topics, err := fs.ReadDir(tests, ".")
	if err != nil {
		return nil, fmt.Errorf("no cases: %w", err)
	}
	var names []string
	for _, t := range topics {
		if !t.IsDir() {
			continue
		}
		files, err := fs.Glob(tests, t.Name()+"/*.yaml")
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			names = append(names, t.Name())
		}
		for _, f := range files {
			names = append(names, strings.TrimSuffix(f, ".yaml"))
		}
	}
	return names, nil
}
