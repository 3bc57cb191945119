package run

import (
	"net"
	"os"
	"syscall"

	"cloudkernel/tools/internal/machine"
)

func socketPair() (net.Conn, *os.File, error) { return machine.SocketPair() }

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }
