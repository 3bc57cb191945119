package hotbuild

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"cloudkernel/kpatch-arm64/image"
)

// exports is what Module.symvers says about one symbol.
type exports struct {
	vmlinux map[string]bool   // exported by vmlinux, without a namespace
	modules map[string]string // symbol → path of the module that exports it, below the build directory
}

// readExports reads Module.symvers: CRC, symbol, module, kind and namespace,
// separated by tabs (scripts/mod/modpost.c, write_dump).
func (k *Kernel) readExports() (*exports, error) {
	data, err := os.ReadFile(filepath.Join(k.Build, "Module.symvers"))
	if err != nil {
		return nil, err
	}
	e := &exports{map[string]bool{}, map[string]string{}}
	for line := range bytes.Lines(data) {
		f := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
		if len(f) < 4 {
			continue
		}
		switch namespace := len(f) > 4 && f[4] != ""; {
		case f[2] != image.Vmlinux:
			e.modules[f[1]] = f[2]
		case !namespace:
			e.vmlinux[f[1]] = true
		}
	}
	return e, nil
}

// images reads the kernel's linked files when they are needed, and keeps them.
type images struct {
	k       *Kernel
	read    map[string]*image.Image
	mapping [][]byte
}

func (k *Kernel) images() *images { return &images{k: k, read: map[string]*image.Image{}} }

// get returns vmlinux (path "") or the module of a path below the build
// directory, without ".ko".
func (m *images) get(path string) (*image.Image, error) {
	if im := m.read[path]; im != nil {
		return im, nil
	}
	file := path + ".ko"
	if path == "" {
		file = "vmlinux"
	}
	data, err := m.open(filepath.Join(m.k.Build, file))
	if err != nil {
		return nil, err
	}
	var im *image.Image
	if path == "" {
		im, err = image.ReadVmlinux(data)
	} else {
		im, err = image.ReadModule(moduleName(path), data)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	m.read[path] = im
	return im, nil
}

// moduleName returns the name the kernel gives a module file.
func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}

// open maps a file: vmlinux has hundreds of megabytes of debug information that
// nobody will look at.
func (m *images) open(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	m.mapping = append(m.mapping, data)
	return data, nil
}

// close gives the mapped files back; nothing read from them may be used
// afterwards.
func (m *images) close() {
	for _, b := range m.mapping {
		_ = unix.Munmap(b)
	}
	m.mapping, m.read = nil, map[string]*image.Image{}
}
