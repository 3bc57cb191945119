package machine

import (
	"fmt"
	"os"
	"strings"
)

// Device is a part of a machine.
type Device interface {
	// arguments adds the device to QEMU's command line and returns what it
	// adds to the kernel's.
	arguments(c *commandLine) []string
}

// Console is the serial port that the kernel prints on: QEMU's stdout.
type Console struct{}

func (Console) arguments(c *commandLine) []string {
	c.add("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console")
	return []string{"console=" + c.board.arch.Console}
}

// Port is a virtio-serial port, a byte channel to the guest's user space.
type Port struct {
	Name string
	File *os.File // QEMU's end of a stream socket pair
}

func (d Port) arguments(c *commandLine) []string {
	serial, port := c.id("serial"), c.id("port")
	c.add("-device", c.virtio("serial")+",id="+serial,
		"-chardev", "socket,id="+port+",fd="+c.fd(d.File),
		"-device", "virtserialport,bus="+serial+".0,chardev="+port+",name="+escape(d.Name))
	return nil
}

// Disk is a virtio disk. A read-only one may be part of several machines.
type Disk struct {
	Path     string
	Format   string // raw (the default) or qcow2
	Serial   string // at most 20 bytes; the guest finds it in /sys/block/*/serial
	ReadOnly bool
}

func (d Disk) arguments(c *commandLine) []string {
	id := c.id("disk")
	format := d.Format
	if format == "" {
		format = "raw"
	}
	// What a guest writes need not survive the host.
	drive := "if=none,id=" + id + ",format=" + format + ",cache=unsafe,file=" + escape(d.Path)
	if d.ReadOnly {
		drive += ",readonly=on"
	}
	device := c.virtio("blk") + ",drive=" + id
	if d.Serial != "" {
		device += ",serial=" + escape(d.Serial)
	}
	c.add("-drive", drive, "-device", device)
	return nil
}

// Share is a directory of the host that the guest can mount with 9p.
type Share struct {
	Dir      string
	Tag      string // what the guest mounts
	ReadOnly bool
}

func (d Share) arguments(c *commandLine) []string {
	id := c.id("share")
	fsdev := "local,id=" + id + ",path=" + escape(d.Dir) + ",security_model=none,multidevs=remap"
	if d.ReadOnly {
		fsdev += ",readonly=on"
	}
	c.add("-fsdev", fsdev, "-device", c.virtio("9p")+",fsdev="+id+",mount_tag="+escape(d.Tag))
	return nil
}

// Net is a network card behind QEMU's user-mode network: the guest may be
// 10.0.2.15/24, the host is 10.0.2.2, a name server 10.0.2.3.
type Net struct{}

func (Net) arguments(c *commandLine) []string {
	id := c.id("net")
	c.add("-netdev", "user,id="+id, "-device", c.virtio("net")+",netdev="+id)
	return nil
}

// RNG gives the guest randomness of the host.
type RNG struct{}

func (RNG) arguments(c *commandLine) []string {
	id := c.id("rng")
	c.add("-object", "rng-random,id="+id+",filename=/dev/urandom", "-device", c.virtio("rng")+",rng="+id)
	return nil
}

// DMA is QEMU's "edu", a PCI device that copies memory, and an IOMMU between it
// and the memory.
type DMA struct{}

func (DMA) arguments(c *commandLine) []string {
	c.add(c.board.iommu...)
	c.add("-device", "edu")
	return c.board.iommuOn
}

// Nodes makes the machine one of several NUMA nodes, each with a part of its
// CPUs and of its memory. CPUs and MemoryMiB are the machine's.
type Nodes struct {
	Count, CPUs, MemoryMiB int
}

func (d Nodes) arguments(c *commandLine) []string {
	for n := range d.Count {
		first, next := n*d.CPUs/d.Count, (n+1)*d.CPUs/d.Count
		memory := (n+1)*d.MemoryMiB/d.Count - n*d.MemoryMiB/d.Count
		node := fmt.Sprintf("node,nodeid=%d,memdev=node%d", n, n)
		if first < next {
			node += fmt.Sprintf(",cpus=%d-%d", first, next-1)
		}
		c.add("-object", fmt.Sprintf("memory-backend-ram,id=node%d,size=%dM", n, memory), "-numa", node)
	}
	if d.CPUs%d.Count == 0 {
		// Linux does not believe in one socket that is in several nodes.
		c.add("-smp", fmt.Sprintf("sockets=%d", d.Count))
	}
	return nil
}

// GDB is QEMU's debugger stub.
type GDB struct {
	Addr string // host:port, or the path of a unix socket
	Wait bool   // start only when the debugger says so
}

func (d GDB) arguments(c *commandLine) []string {
	where := "tcp:" + d.Addr
	if strings.HasPrefix(d.Addr, "/") {
		where = "unix:" + escape(d.Addr) + ",server=on,wait=off"
	}
	c.add("-gdb", where)
	if d.Wait {
		c.add("-S")
	}
	// The debugger knows the addresses of the image as linked.
	return []string{"nokaslr"}
}

// Paused makes the machine wait, made but not started, for QMP's "cont".
type Paused struct{}

func (Paused) arguments(c *commandLine) []string {
	c.add("-S")
	return nil
}

// Exit is x86's isa-debug-exit: writing v to I/O port 0xf4 ends QEMU with
// status 2v+1.
type Exit struct{}

func (Exit) arguments(c *commandLine) []string {
	c.add("-device", "isa-debug-exit,iobase=0xf4,iosize=0x4")
	return nil
}
