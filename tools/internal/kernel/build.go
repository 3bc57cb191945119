package kernel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/series"
	"cloudkernel/tools/internal/store"
)

// Builder builds the kernels of one repository. Its methods may be called from
// several goroutines and several processes at once.
type Builder struct {
	Root  string       // the repository: kernel-patches lies below it
	Store *store.Store // where kernels and lanes are kept
	Base  base.Options // where the base may come from
	Jobs  int          // of make; 0 means one more than the machine has CPUs
	Err   io.Writer    // progress and notes for a person; nil for none
	Tee   io.Writer    // make's own output, for who wants to see it; nil for none
}

// needDisk is what a cold build takes: objects with debug information, and the
// kernel that is kept of them.
const needDisk = 6e9

// plan is a request with everything looked up that its kernel is made from.
type plan struct {
	req      Request
	base     *base.Source
	applied  *series.Applied // nil for the plain base
	settings []setting
	tc       *toolchain
	key      string // names the kernel
	source   string // the same, and all the rest of the source tree
}

// Key returns the key of the kernel that a request names, without building it.
func (b *Builder) Key(ctx context.Context, r Request) (string, error) {
	p, release, err := b.plan(ctx, r)
	if err != nil {
		return "", err
	}
	release()
	return p.key, nil
}

func (b *Builder) plan(ctx context.Context, r Request) (*plan, func(), error) {
	p := &plan{req: r.normal()}
	patches := filepath.Join(b.Root, "kernel-patches")
	pin, err := base.ReadPin(filepath.Join(patches, "base"))
	if err != nil {
		return nil, nil, err
	}
	src, release, err := base.Get(ctx, b.Store, pin, b.Base)
	if err != nil {
		return nil, nil, err
	}
	ok := false
	defer func() {
		if !ok {
			release()
		}
	}()
	p.base = src
	var topics []string
	var partial string
	if !p.req.Plain {
		s, err := series.Load(patches)
		if err != nil {
			return nil, nil, err
		}
		if s, err = s.Without(p.req.Without...); err != nil {
			return nil, nil, err
		}
		if n := p.req.Prefix; n > 0 && n < len(s.Patches) {
			if last := s.Patches[n-1].Topic; last == s.Patches[n].Topic {
				partial = last
			}
			s = s.Prefix(n)
		}
		topics = s.Topics()
		if p.applied, err = s.Apply(os.DirFS(src.Dir)); err != nil {
			return nil, nil, err
		}
	}
	if p.settings, err = fragments(filepath.Join(patches, "configs"), p.req, topics, partial); err != nil {
		return nil, nil, err
	}
	if p.tc, err = findToolchain(ctx, p.req.Arch, wantsClang(p.settings)); err != nil {
		return nil, nil, err
	}
	p.key, p.source = p.hash(inKernel), p.hash(func(string) bool { return true })
	ok = true
	return p, release, nil
}

// inKernel reports whether a file of the source goes into a kernel. Pages and
// user-space tests do not: an edit of theirs asks for no build.
func inKernel(name string) bool {
	return path.Base(name) == "Kconfig" ||
		!strings.HasPrefix(name, "Documentation/") && !strings.HasPrefix(name, "tools/testing/")
}

// hash names the kernel by everything it is made from, as far as of holds of
// the series' files. The first word changes when what is kept of a build, or
// how it is built, does.
func (p *plan) hash(of func(name string) bool) string {
	h := sha256.New()
	put := func(s string) {
		_ = binary.Write(h, binary.LittleEndian, uint64(len(s)))
		_, _ = io.WriteString(h, s)
	}
	put("kernel 2")
	put(p.req.Arch.Name)
	put(p.base.Digest)
	if p.applied != nil {
		put(p.applied.DigestOf(of))
	} else {
		put("")
	}
	put(string(render(p.settings)))
	put(p.tc.cross)
	for _, v := range p.tc.versions {
		put(v)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// outDir names the output directory of the request inside its lane.
func (p *plan) outDir() string {
	name := ".build-" + p.req.Arch.Name + "-" + p.req.Profile
	if len(p.req.Options) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(p.req.Options, "\n")))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// Build returns the kernel of a request, from the store or freshly built. The
// kernel stays in the store at least until release is called.
func (b *Builder) Build(ctx context.Context, r Request) (k *Kernel, release func(), err error) {
	p, done, err := b.plan(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	built := false
	dir, release, err := b.Store.Get(ctx, "kernel", p.key,
		func() { b.note("waiting for another kernlab that is building %s", p.req) },
		func(dir string) error {
			built = true
			return b.build(ctx, p, dir)
		})
	if err != nil {
		return nil, nil, err
	}
	k, err = open(dir)
	if err != nil {
		release()
		return nil, nil, err
	}
	k.Cached, k.Source = !built, p.source
	return k, release, nil
}

// Tree is a lane that holds the source of a request, and what kbuild made of it.
type Tree struct {
	Source string   // the patched source
	Build  string   // kbuild's output directory
	CC     string   // the compiler command, with ccache where there is one
	Tools  []string // make's other variables that choose tools: CROSS_COMPILE=, LLVM=
	Env    []string
}

// Tree returns the source and output directories of a request with everything
// built in them, for what needs more than a kernel: modules, hotpatches.
// The lane is locked, for other processes too, until release is called.
func (b *Builder) Tree(ctx context.Context, r Request) (*Tree, func(), error) {
	return b.tree(ctx, r, func(p *plan, k *kbuild) error {
		if stamp, _ := os.ReadFile(filepath.Join(k.out, stampFile)); string(stamp) == p.key {
			return nil
		}
		_, err := b.compile(ctx, p, k)
		return err
	})
}

// SourceTree is Tree with only the source brought up to date: what is in the
// output directory may be of an older kernel, or not there.
func (b *Builder) SourceTree(ctx context.Context, r Request) (*Tree, func(), error) {
	return b.tree(ctx, r, nil)
}

func (b *Builder) tree(ctx context.Context, r Request, ready func(*plan, *kbuild) error) (*Tree, func(), error) {
	p, done, err := b.plan(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	k, release, err := b.open(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	defer k.log.Close()
	if ready != nil {
		if err := ready(p, k); err != nil {
			release()
			return nil, nil, err
		}
	}
	return &Tree{Source: k.src, Build: k.out, CC: p.tc.cc(), Tools: p.tc.vars(), Env: makeEnv()}, release, nil
}

// open locks the request's lane, brings its source up to date and opens the log.
func (b *Builder) open(ctx context.Context, p *plan) (*kbuild, func(), error) {
	if err := os.MkdirAll(b.Store.Dir(), 0o755); err != nil {
		return nil, nil, err
	}
	src, release, err := openLane(ctx, b.Store, p.req.lane(p.base.Digest, b.Root), p.base.Dir, p.applied,
		func() { b.note("waiting for other work in the same source tree") })
	if err != nil {
		return nil, nil, err
	}
	k := &kbuild{src: src, out: filepath.Join(src, p.outDir()), arch: p.req.Arch, tc: p.tc, jobs: b.Jobs, tee: b.Tee}
	if k.jobs <= 0 {
		k.jobs = runtime.NumCPU() + 1
	}
	if err = os.MkdirAll(k.out, 0o755); err == nil {
		k.log, err = os.Create(filepath.Join(k.out, "kernlab.log"))
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return k, release, nil
}

// stampFile, in an output directory, holds the key of what it was last built for.
const stampFile = ".cloudkernel-key"

// build builds p and keeps in dir what is kept of a kernel.
func (b *Builder) build(ctx context.Context, p *plan, dir string) error {
	k, release, err := b.open(ctx, p)
	if err != nil {
		return err
	}
	defer release()
	defer k.log.Close()
	start := time.Now()
	objects, err := b.compile(ctx, p, k)
	if err != nil {
		return err
	}
	info := Info{
		Key: p.key, ArchName: p.req.Arch.Name, Profile: p.req.Profile, Without: p.req.Without, Plain: p.req.Plain,
		Options: p.req.Options, Base: p.base.Version, BaseSum: p.base.Digest, Toolchain: p.tc.versions,
		Objects: objects, Seconds: time.Since(start).Seconds(), Built: time.Now().UTC(),
	}
	if log, err := os.Open(k.log.Name()); err == nil {
		info.Warnings = warnings(log)
		log.Close()
	}
	return keep(ctx, k, info, dir)
}

// compile configures and makes p in k's output directory and stamps it.
func (b *Builder) compile(ctx context.Context, p *plan, k *kbuild) (objects int, err error) {
	stamp := filepath.Join(k.out, stampFile)
	if err := os.Remove(stamp); err != nil && !os.IsNotExist(err) {
		return 0, err
	}
	what := "build " + p.req.String()
	cold := !exists(filepath.Join(k.out, "vmlinux"))
	if cold {
		if err := disk(k.out, needDisk); err != nil {
			return 0, err
		}
	}
	if err := b.configure(ctx, p, k); err != nil {
		return 0, err
	}
	targets := []string{k.arch.ImageTarget, "modules"}
	total := 0
	if cold {
		b.note("%s: cold, with %s", what, p.tc)
		if _, err := k.run(ctx, nil, what, 0, "prepare", "modules_prepare"); err != nil {
			return 0, err
		}
		total = k.left(ctx, targets...)
	} else {
		total = stale(k.out)
	}
	objects, err = k.run(ctx, b.Err, what, total, targets...)
	if err != nil {
		return objects, err
	}
	return objects, os.WriteFile(stamp, []byte(p.key), 0o644)
}

// configure writes .config if the settings are not the ones it was made from.
func (b *Builder) configure(ctx context.Context, p *plan, k *kbuild) error {
	asked := filepath.Join(k.out, ".cloudkernel-asked")
	config := filepath.Join(k.out, ".config")
	text := append([]byte("# "+p.tc.String()+"\n"), render(p.settings)...)
	if have, err := os.ReadFile(asked); err != nil || !bytes.Equal(have, text) || !exists(config) {
		if old, _, _ := strings.Cut(string(have), "\n"); err == nil && old != "# "+p.tc.String() {
			b.note("the compiler is another one than this tree was built with: everything is compiled anew\n  was: %s\n  is:  %s", strings.TrimPrefix(old, "# "), p.tc)
		}
		_ = os.Remove(asked)
		if _, err := k.run(ctx, nil, "", 0, "tinyconfig"); err != nil {
			return err
		}
		f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(render(p.settings))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	// Also when nothing was asked anew: a patch may have changed a Kconfig file.
	if _, err := k.run(ctx, nil, "", 0, "olddefconfig"); err != nil {
		return err
	}
	data, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	if err := checkConfig(k.src, p.settings, data); err != nil {
		return fmt.Errorf("configure %s:\n%w", p.req, err)
	}
	return os.WriteFile(asked, text, 0o644)
}

// keep copies what is kept of a build to dir.
func keep(ctx context.Context, k *kbuild, info Info, dir string) error {
	files := map[string]string{
		k.arch.ImagePath: filepath.Base(k.arch.ImagePath),
		"vmlinux":        "vmlinux", ".config": "config", "System.map": "System.map", "Module.symvers": "Module.symvers",
	}
	if !exists(filepath.Join(k.out, "Module.symvers")) {
		delete(files, "Module.symvers") // a kernel without modules has none
	}
	for from, to := range files {
		if err := copyFile(filepath.Join(k.out, from), filepath.Join(dir, to)); err != nil {
			return fmt.Errorf("keep the kernel: %w", err)
		}
	}
	release, err := os.ReadFile(filepath.Join(k.out, "include", "config", "kernel.release"))
	if err != nil {
		return err
	}
	info.Release = strings.TrimSpace(string(release))
	if info.BuildID, err = buildID(filepath.Join(dir, "vmlinux")); err != nil {
		return err
	}
	if order, _ := os.ReadFile(filepath.Join(k.out, "modules.order")); len(bytes.TrimSpace(order)) > 0 {
		cmd := []string{"INSTALL_MOD_PATH=" + filepath.Join(dir, "modules"), "DEPMOD=true", "modules_install"}
		if _, err := k.run(ctx, nil, "install the modules", 0, cmd...); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, infoFile), append(data, '\n'), 0o644)
}

// buildID returns the GNU build id of an ELF file, in hex.
func buildID(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	const ntGNUBuildID = 3
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE {
			continue
		}
		data, err := s.Data()
		if err != nil {
			continue
		}
		for len(data) >= 12 {
			namesz, descsz, typ := f.ByteOrder.Uint32(data), f.ByteOrder.Uint32(data[4:]), f.ByteOrder.Uint32(data[8:])
			name, desc := 12, 12+int(namesz+3)&^3
			end := desc + int(descsz+3)&^3
			if namesz > 1<<16 || descsz > 1<<20 || end > len(data) {
				break
			}
			if typ == ntGNUBuildID && string(data[name:name+int(namesz)]) == "GNU\x00" {
				return hex.EncodeToString(data[desc : desc+int(descsz)]), nil
			}
			data = data[end:]
		}
	}
	return "", fmt.Errorf("%s has no GNU build id", path)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err = io.Copy(dst, src); err != nil {
		dst.Close()
		return outcome.Errorf(outcome.Infra, "copy %s: %w", from, err)
	}
	return dst.Close()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (b *Builder) note(format string, args ...any) {
	if b.Err != nil {
		fmt.Fprintf(b.Err, format+"\n", args...)
	}
}
