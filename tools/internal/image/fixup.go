package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/proc"
)

// fixUp does to an extracted root what its packages' maintainer scripts would
// have done and programs depend on.
func fixUp(ctx context.Context, a *arch.Arch, debs []string, root string) error {
	if err := accounts(root); err != nil {
		return err
	}
	if err := alternatives(ctx, debs, root); err != nil {
		return err
	}
	if err := libraryDirs(a, root); err != nil {
		return err
	}
	return defaults(root, map[string]string{
		"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"etc/hostname":      "guest\n",
		"etc/resolv.conf":   "nameserver 10.0.2.3\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"etc/machine-id":    "636c6f75646b65726e656c0000000001\n",
		"etc/mtab":          "",
	})
}

// defaults writes files that no package brought.
func defaults(root string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(root, name)
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		var err error
		if name == "etc/mtab" {
			err = os.Symlink("../proc/self/mounts", path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// accounts makes /etc/passwd and /etc/group as base-passwd's script does.
func accounts(root string) error {
	for name, least := range map[string]string{
		"passwd": "root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"group":  "root:*:0:\ntty:*:5:\nkvm:*:103:\nnogroup:*:65534:\n",
	} {
		path := filepath.Join(root, "etc", name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, "usr/share/base-passwd", name+".master"))
		if err != nil {
			text = []byte(least)
		}
		// root's shell in the master file is bash, which may not be there.
		text = bytes.Replace(text, []byte("/root:/bin/bash"), []byte("/root:/bin/sh"), 1)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// alternative is a call of update-alternatives --install.
type alternative struct {
	link, name, target string
	priority           int
	slaves             [][2]string // link, target
}

// alternatives links what packages offer as one of several implementations of
// a command (awk is mawk's): the highest priority wins.
func alternatives(ctx context.Context, debs []string, root string) error {
	best := map[string]alternative{}
	for _, d := range debs {
		script, err := proc.Command(ctx, "dpkg-deb", "--info", d, "postinst").Output()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // it has none
		}
		for _, alt := range parseAlternatives(string(script)) {
			if have, ok := best[alt.link]; !ok || alt.priority > have.priority {
				best[alt.link] = alt
			}
		}
	}
	var links [][2]string
	for _, alt := range best {
		if _, err := os.Stat(inRoot(root, alt.target)); err != nil {
			continue
		}
		links = append(links, [2]string{alt.link, alt.target})
		for _, s := range alt.slaves {
			if _, err := os.Stat(inRoot(root, s[1])); err == nil {
				links = append(links, s)
			}
		}
	}
	sort.Slice(links, func(i, j int) bool { return links[i][0] < links[j][0] })
	for _, l := range links {
		if err := link(root, l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

// inRoot returns where an absolute path of the guest is here.
func inRoot(root, path string) string { return filepath.Join(root, filepath.Clean("/"+path)) }

// link makes a symbolic link in root, unless the name is taken.
func link(root, name, target string) error {
	path := inRoot(root, name)
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// parseAlternatives finds the calls of update-alternatives --install in a
// maintainer script whose arguments are literal; one that is made up of
// variables cannot be known without running it, and is left out.
func parseAlternatives(script string) []alternative {
	var list []alternative
	for _, line := range strings.Split(strings.ReplaceAll(script, "\\\n", " "), "\n") {
		_, call, ok := strings.Cut(line, "update-alternatives")
		if !ok || strings.ContainsAny(call, "$`") {
			continue
		}
		f := strings.Fields(call)
		for i := range f {
			f[i] = strings.Trim(f[i], `"';`)
		}
		var alt alternative
		for len(f) > 0 {
			switch {
			case f[0] == "--install" && len(f) >= 5:
				priority, err := strconv.Atoi(f[4])
				if err == nil {
					alt = alternative{link: f[1], name: f[2], target: f[3], priority: priority}
				}
				f = f[5:]
			case f[0] == "--slave" && len(f) >= 4:
				alt.slaves = append(alt.slaves, [2]string{f[1], f[3]})
				f = f[4:]
			default:
				f = f[1:]
			}
		}
		if filepath.IsAbs(alt.link) && filepath.IsAbs(alt.target) {
			list = append(list, alt)
		}
	}
	return list
}

// libraryDirs does what ldconfig's cache would: libraries of the directories
// that /etc/ld.so.conf.d names beyond the usual ones are made to be found in
// one that the dynamic linker searches by itself. ldconfig cannot be run: the
// host's does not know the guest's architecture.
func libraryDirs(a *arch.Arch, root string) error {
	confs, err := filepath.Glob(filepath.Join(root, "etc/ld.so.conf.d/*.conf"))
	if err != nil {
		return err
	}
	usual := "/usr/lib/" + a.Triplet
	known := map[string]bool{"/lib": true, "/usr/lib": true, usual: true, "/lib/" + a.Triplet: true}
	sort.Strings(confs)
	for _, conf := range confs {
		text, err := os.ReadFile(conf)
		if err != nil {
			return err
		}
		for _, l := range strings.Split(string(text), "\n") {
			dir := filepath.Clean(strings.TrimSpace(l))
			if !filepath.IsAbs(dir) || known[dir] {
				continue
			}
			libs, err := filepath.Glob(filepath.Join(inRoot(root, dir), "lib*.so.*"))
			if err != nil {
				return err
			}
			for _, lib := range libs {
				name := filepath.Base(lib)
				if err := link(root, usual+"/"+name, dir+"/"+name); err != nil {
					return fmt.Errorf("%s: %w", conf, err)
				}
			}
		}
	}
	return nil
}
