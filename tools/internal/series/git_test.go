package series

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudkernel/tools/internal/git"
)

// needGit returns an empty repository, or skips the test.
func needGit(t *testing.T) git.Repo {
	t.Helper()
	if !git.Available() {
		t.Skip("no git on this machine")
	}
	repo := git.Repo{Dir: t.TempDir()}
	runGit(t, repo, "init", "--quiet", ".")
	return repo
}

func runGit(t *testing.T, repo git.Repo, args ...string) string {
	t.Helper()
	out, err := repo.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAppliesWhatGitApplies makes random changes to random files, takes the
// diff, and applies it to a base that has changed meanwhile in other random
// ways, with git and with Apply. Both must agree on whether it applies and on
// every byte of what comes of it.
func TestAppliesWhatGitApplies(t *testing.T) {
	repo := needGit(t)
	const rounds = 60
	applied := 0
	for seed := range uint64(rounds) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		files := randomTree(rnd)
		writeTree(t, repo.Dir, files)
		runGit(t, repo, "add", "-A")
		runGit(t, repo, "commit", "--quiet", "--allow-empty", "-m", "base")
		mutate(rnd, files, 3, true)
		writeTree(t, repo.Dir, files)
		runGit(t, repo, "add", "-A")
		diffArgs := []string{"diff", "--cached", "--full-index", "-U" + fmt.Sprint(1+rnd.IntN(3))}
		if rnd.IntN(2) == 0 {
			diffArgs = append(diffArgs, "-M")
		} else {
			diffArgs = append(diffArgs, "--no-renames")
		}
		diff := runGit(t, repo, diffArgs...) + "\n"
		if diff == "\n" {
			continue
		}
		runGit(t, repo, "reset", "--quiet", "--hard")
		drifted := readTree(t, repo.Dir)
		if rnd.IntN(4) > 0 {
			mutate(rnd, drifted, 1+rnd.IntN(2), false)
		}
		writeTree(t, repo.Dir, drifted)

		patch := filepath.Join(t.TempDir(), "p.patch")
		if err := os.WriteFile(patch, []byte(diff), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Parse("topic/0001-x.patch", []byte(mailHead+diff))
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, diff)
		}
		ours, ourErr := (&Series{Patches: []*Patch{p}}).Apply(os.DirFS(repo.Dir))
		_, gitErr := repo.Run(t.Context(), "apply", patch)
		if (ourErr == nil) != (gitErr == nil) {
			t.Fatalf("seed %d: git says %v, we say %v\n%s", seed, gitErr, ourErr, diff)
		}
		if ourErr != nil {
			continue
		}
		applied++
		for name, f := range ours.Files {
			if f.Deleted {
				delete(drifted, name)
			} else {
				drifted[name] = randomFile{f.Data, f.Mode}
			}
		}
		after := readTree(t, repo.Dir)
		if len(after) != len(drifted) {
			t.Fatalf("seed %d: git leaves %d files, we %d\n%s", seed, len(after), len(drifted), diff)
		}
		for name, f := range after {
			if o := drifted[name]; !bytes.Equal(o.data, f.data) || o.mode != f.mode {
				t.Fatalf("seed %d: %s is %o\n%s\nafter git, %o\n%s\nwith us\n%s", seed, name, f.mode, f.data, o.mode, o.data, diff)
			}
		}
	}
	if applied < rounds/4 || applied == rounds {
		t.Errorf("%d of %d patches apply: the test should see both", applied, rounds)
	}
}

const mailHead = `From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: A. Writer <writer@example.org>
Date: Mon, 5 Jan 2026 10:00:00 +0000
Subject: [PATCH] kernel: do

Why.

Topic: topic
Upstream-Status: Pending
Tested-by-case: smoke/boot
Hotpatchable: yes

`

type randomFile struct {
	data []byte
	mode fs.FileMode
}

// randomTree makes a few files of few different lines, so that context repeats.
func randomTree(rnd *rand.Rand) map[string]randomFile {
	files := map[string]randomFile{}
	for i := range 2 + rnd.IntN(3) {
		files[fmt.Sprintf("dir%d/file%d.c", i%2, i)] = randomFile{randomLines(rnd, 5+rnd.IntN(60)), 0o644}
	}
	return files
}

func randomLines(rnd *rand.Rand, n int) []byte {
	var b bytes.Buffer
	for range n {
		fmt.Fprintf(&b, "line %d", rnd.IntN(12))
		if rnd.IntN(20) == 0 {
			b.WriteString("\r")
		}
		b.WriteByte('\n')
	}
	if rnd.IntN(5) == 0 && b.Len() > 0 {
		b.Truncate(b.Len() - 1) // no line end at the end of the file
	}
	return b.Bytes()
}

func mutate(rnd *rand.Rand, files map[string]randomFile, n int, structural bool) {
	for range n {
		var names []string
		for i := range 8 { // in a fixed order: maps have none
			name := fmt.Sprintf("dir%d/file%d.c", i%2, i)
			if _, ok := files[name]; ok {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return
		}
		name := names[rnd.IntN(len(names))]
		f := files[name]
		kind := 0
		if structural {
			kind = rnd.IntN(9)
		}
		switch kind {
		case 6:
			delete(files, name)
		case 7:
			files[fmt.Sprintf("dir2/moved%d.c", rnd.IntN(100))] = f
			delete(files, name)
		case 8:
			f.mode = 0o755
			files[name] = f
		default:
			lines := strings.SplitAfter(string(f.data), "\n")
			at := rnd.IntN(len(lines))
			to := min(at+rnd.IntN(3), len(lines))
			f.data = []byte(strings.Join(lines[:at], "") + string(randomLines(rnd, rnd.IntN(4))) + strings.Join(lines[to:], ""))
			files[name] = f
		}
	}
}

func writeTree(t *testing.T, dir string, files map[string]randomFile) {
	t.Helper()
	for name := range readTree(t, dir) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			t.Fatal(err)
		}
	}
}

func readTree(t *testing.T, dir string) map[string]randomFile {
	t.Helper()
	files := map[string]randomFile{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".git" {
			if d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		files[rel] = randomFile{data, info.Mode().Perm()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestFileNameIsGits compares names with those that git format-patch chooses.
func TestFileNameIsGits(t *testing.T) {
	repo := needGit(t)
	for i, subject := range []string{
		"kernel: do a thing", "arm64/sched: x..y...z", "mm: (a) [b] {c}", "Documentation: ends here.", "x: ü and ä",
		"sched/vmf: a subject so long that git cuts its name off somewhere in here", "a: -- b --", "x: trailing dots... ", "a_b.c: D",
	} {
		runGit(t, repo, "commit", "--quiet", "--allow-empty", "-m", subject)
		out := runGit(t, repo, "format-patch", "--always", "-1", "-N", "-o", t.TempDir())
		want := "topic/" + filepath.Base(out)
		if got := FileName("topic", 1, strings.TrimSpace(subject)); got != want {
			t.Errorf("%d: %q is named %s, git names it %s", i, subject, got, want)
		}
	}
}

// TestIndependentIsExact makes random series and compares what Independent says
// of each topic with applying the whole rest.
func TestIndependentIsExact(t *testing.T) {
	repo := needGit(t)
	free, bound := 0, 0
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		files := randomTree(rnd)
		writeTree(t, repo.Dir, files)
		runGit(t, repo, "add", "-A")
		runGit(t, repo, "commit", "--quiet", "--allow-empty", "-m", "base")
		base := t.TempDir()
		writeTree(t, base, files)
		s := &Series{}
		for n := range 9 {
			topic := fmt.Sprintf("topic%d", n/3)
			mutate(rnd, files, 1, true)
			writeTree(t, repo.Dir, files)
			runGit(t, repo, "add", "-A")
			diff := runGit(t, repo, "diff", "--cached", "--full-index", "-M", "-U1") + "\n"
			runGit(t, repo, "commit", "--quiet", "--allow-empty", "-m", "x")
			if diff == "\n" {
				continue
			}
			p, err := Parse(FileName(topic, n%3+1, "kernel: do"), []byte(mailHead+diff))
			if err != nil {
				t.Fatal(err)
			}
			s.Patches = append(s.Patches, p)
		}
		if _, err := s.Apply(os.DirFS(base)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		list, err := s.Independent(os.DirFS(base))
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range s.Topics() {
			rest, err := s.Without(topic)
			if err != nil {
				t.Fatal(err)
			}
			_, err = rest.Apply(os.DirFS(base))
			said := false
			for _, d := range list {
				said = said || strings.HasPrefix(d.Msg, "without topic "+topic+":")
			}
			if said != (err != nil) {
				t.Errorf("seed %d: without %s: %v, but Independent says %v", seed, topic, err, list)
			}
			if err != nil {
				bound++
			} else {
				free++
			}
		}
	}
	if free < 5 || bound < 5 {
		t.Errorf("%d topics are free and %d are not: the test should see both", free, bound)
	}
}
