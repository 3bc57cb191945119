// kernlab builds the cloudkernel patch series, boots it in QEMU and judges it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"cloudkernel/tools/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
