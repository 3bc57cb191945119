package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/machine"
)

// prepared is what a machine needs made beforehand.
type prepared struct {
	initrd []string
	disks  []machine.Disk
	mounts []guest.Mount
	root   *guest.Root
}

// tag9p is the mount tag of share n.
func tag9p(n int) string { return fmt.Sprintf("share%d", n) }

// rootSerial is the serial number of the disk of packages.
const rootSerial = "cloudkernel-root"

func (g *Guest) prepare(ctx context.Context, spec Spec) (*prepared, error) {
	if err := g.makeDir(spec.Dir); err != nil {
		return nil, err
	}
	var err error
	if g.Accel, err = machine.Probe(ctx, spec.Store, spec.Arch); err != nil {
		return nil, err
	}
	maker := &image.Maker{Store: spec.Store, Repo: spec.Repo, Progress: spec.Progress}
	p := &prepared{}
	base := spec.Initramfs
	if base == "" {
		var release func()
		if base, release, err = maker.Initramfs(ctx, spec.Arch); err != nil {
			return nil, err
		}
		g.cleanup = append(g.cleanup, release)
	}
	p.initrd = append(p.initrd, base)
	if len(spec.Files) > 0 {
		extra := filepath.Join(g.Dir, "files.cpio")
		if err := writeCPIO(extra, spec.Files); err != nil {
			return nil, err
		}
		p.initrd = append(p.initrd, extra)
	}
	if len(spec.Packages) > 0 {
		disk, release, err := maker.Disk(ctx, spec.Arch, spec.Packages)
		if err != nil {
			return nil, err
		}
		g.cleanup = append(g.cleanup, release)
		p.disks = append(p.disks, machine.Disk{Path: disk, Serial: rootSerial, ReadOnly: true})
		p.root = &guest.Root{Serial: rootSerial, Type: image.DiskType}
	}
	for n, s := range spec.Shares {
		if st, err := os.Stat(s.Dir); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("share %s: it is not a directory", s.Dir)
		}
		m := guest.Mount{Source: tag9p(n), Target: s.Path, Type: "9p", Data: "trans=virtio,version=9p2000.L,msize=512000,cache=mmap"}
		if s.ReadOnly {
			m.Flags = unix.MS_RDONLY
		}
		p.mounts = append(p.mounts, m)
	}
	return p, nil
}

func writeCPIO(path string, entries []image.Entry) error {
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := image.WriteCPIO(w, entries); err != nil {
		return err
	}
	return w.Close()
}

// machineSpec returns the machine for a guest; port is the agent's.
func (g *Guest) machineSpec(spec Spec, p *prepared, port *os.File) machine.Spec {
	m := machine.Spec{
		Arch: spec.Arch, Machine: spec.Machine, CPUs: spec.CPUs, CPUModel: spec.CPUModel, MemoryMiB: spec.MemoryMiB,
		Kernel: spec.Kernel, Initrd: p.initrd, Cmdline: spec.Cmdline,
		NestedKVM: spec.NestedKVM, Deterministic: spec.Deterministic, InstructionNs: spec.InstructionNs,
	}
	g.Accel = g.Accel.For(m)
	m.Accel = g.Accel.Accel
	m.Devices = append(m.Devices, machine.Console{}, machine.Port{Name: guest.PortName, File: port})
	if !spec.Deterministic {
		m.Devices = append(m.Devices, machine.RNG{})
	}
	for _, d := range append(p.disks, spec.Disks...) {
		m.Devices = append(m.Devices, d)
	}
	for n, s := range spec.Shares {
		m.Devices = append(m.Devices, machine.Share{Dir: s.Dir, Tag: tag9p(n), ReadOnly: s.ReadOnly})
	}
	if spec.Network {
		m.Devices = append(m.Devices, machine.Net{})
	}
	if spec.GDB != nil {
		m.Devices = append(m.Devices, *spec.GDB)
	}
	m.Devices = append(m.Devices, spec.Devices...)
	return m
}
