package hotsample

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/image"
)

// dir is where the modules are in the guest.
const dir = "/sample"

// script applies, uses, reverts and unloads every module, and says what came of
// it: "name ok", or "name" and what went wrong.
const script = `
cd ` + dir + `
splats() { dmesg | grep -c -E 'BUG:|Oops|WARNING: CPU|Call trace:|Unable to handle'; }
busy() {
	cat /proc/[0-9]*/stat /proc/meminfo /proc/net/* /proc/vmstat
	ls -lR /sys/class /sys/fs
	dd if=/dev/zero of=/tmp/file bs=64k count=16
	cp /tmp/file /tmp/copy; sync; cmp /tmp/file /tmp/copy; rm /tmp/file /tmp/copy
	for i in 1 2 3 4 5 6 7 8; do echo $i | cat | sed s/1/2/; done
	ping -c 1 -W 1 127.0.0.1
	mkdir -p /tmp/mnt; mount -t tmpfs none /tmp/mnt; echo x >/tmp/mnt/x; cat /tmp/mnt/x; umount /tmp/mnt
}
one() {
	before=$(splats)
	./hotpatch apply --deadline 60s $1.ko || return 1
	busy >/dev/null 2>&1
	test "$(cat /sys/kernel/livepatch/$1/enabled)" = 1 || { echo it is not enabled; return 1; }
	./hotpatch revert --deadline 60s $1 || return 1
	./hotpatch unload --force $1 || return 1
	test "$(splats)" = "$before" || { echo the kernel complained; return 1; }
}
ip link set lo up 2>/dev/null
for ko in *.ko; do
	name=${ko%.ko}
	if said=$(one $name 2>&1); then echo "$name ok"; else echo "$name" $said; fi
done
`

// Entries returns what the guest must have: the modules, and the command that
// applies them.
func Entries(items []*Item, hotpatch string) []image.Entry {
	list := []image.Entry{{Path: dir + "/hotpatch", Mode: 0o755, Source: hotpatch}}
	for _, i := range items {
		if i.Module != nil {
			list = append(list, image.Entry{Path: dir + "/" + i.Name + ".ko", Mode: 0o644, Data: i.Module})
		}
	}
	return list
}

// Runner runs commands in a guest.
type Runner interface {
	Run(ctx context.Context, c guest.Cmd) (int, error)
}

// Load tries every module that was built in a guest that has the Entries.
func Load(ctx context.Context, g Runner, items []*Item, tell func(*Item)) error {
	byName := map[string]*Item{}
	for _, i := range items {
		if i.Module != nil {
			byName[i.Name] = i
		}
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(r); s.Scan(); {
			name, said, _ := strings.Cut(s.Text(), " ")
			i := byName[name]
			if i == nil {
				continue
			}
			if i.Outcome = Loaded; said != "ok" {
				i.Outcome, i.Why = Failed, said
			}
			tell(i)
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	var errs bytes.Buffer
	code, err := g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", script}, Stdout: w, Stderr: &errs})
	w.Close()
	<-done
	for _, i := range byName {
		if i.Outcome == Built {
			i.Outcome, i.Why = Failed, "the guest ended before it was tried"
		}
	}
	if err == nil && code != 0 {
		err = fmt.Errorf("the guest's script ended with %d: %s", code, errs.String())
	}
	return err
}
