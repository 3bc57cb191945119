// hotpatch turns a source fix into a livepatch module for one built kernel, and
// applies, watches and reverts such modules on running hosts.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"cloudkernel/tools/internal/hotpatchcli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := hotpatchcli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
