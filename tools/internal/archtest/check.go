package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cloudkernel/tools/internal/diag"
)

const (
	module   = "cloudkernel"
	internal = "tools/internal/"
)

// source is one Go file.
type source struct {
	file  string // path below the repository
	pkg   string // as the tables name it
	test  bool
	ast   *ast.File
	fset  *token.FileSet
	lines int
}

// Check returns what breaks the rules in a repository.
func Check(repo fs.FS) (diag.List, error) {
	var c checker
	err := fs.WalkDir(repo, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(p) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || p == ".git" { // a file in a worktree
			return nil
		}
		data, err := fs.ReadFile(repo, p)
		if err != nil {
			return err
		}
		return c.file(p, data)
	})
	c.packages()
	return c.found, err
}

// skipDir names what is in a checkout and not in the repository.
func skipDir(p string) bool {
	switch p {
	case ".git", "bin", "out":
		return true
	}
	return strings.HasPrefix(path.Base(p), ".build")
}

type checker struct {
	found     diag.List
	documents map[string]bool // packages that have a comment
	first     map[string]string
}

var machinePath = regexp.MustCompile(machinePaths)

// file checks one file of any kind.
func (c *checker) file(p string, data []byte) error {
	if bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) {
		return nil
	}
	lines := bytes.Count(data, []byte("\n"))
	isSource := slices.Contains([]string{".go", ".c", ".h", ".sh", ".S"}, path.Ext(p))
	if isSource && lines > maxFileLines && longFiles[p] == "" {
		c.found = append(c.found, diag.Diag{File: p, Line: lines, Msg: fmt.Sprintf("%d lines; more than %d need a reason", lines, maxFileLines),
			Hint: "split it along its seams, or add it to longFiles in archtest"})
	}
	if pathsAllowed[p] == "" && mayHoldPath(data) {
		for i, line := range bytes.Split(data, []byte("\n")) {
			if m := machinePath.Find(line); m != nil {
				c.found = append(c.found, diag.Diag{File: p, Line: i + 1, Msg: fmt.Sprintf("a path of one machine: %s…", bytes.TrimSpace(m))})
			}
		}
	}
	if path.Ext(p) != ".go" || strings.Contains(p, "/testdata/") {
		return nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, p, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	s := source{file: p, pkg: packageName(path.Dir(p)), test: strings.HasSuffix(p, "_test.go"), ast: file, fset: fset, lines: lines}
	c.goFile(s)
	return nil
}

// mayHoldPath spares most files the regular expression.
func mayHoldPath(data []byte) bool {
	for _, top := range []string{"/work/", "/root/", "/home/"} {
		if bytes.Contains(data, []byte(top)) {
			return true
		}
	}
	return false
}

// packageName returns how the tables name the package in a directory.
func packageName(dir string) string {
	if name, ok := strings.CutPrefix(dir, internal); ok {
		return name
	}
	return dir
}

// goFile checks one Go file. A test may import and run what it needs.
func (c *checker) goFile(s source) {
	if s.test {
		return
	}
	c.document(s)
	if path.Base(s.file) == "main.go" && strings.HasPrefix(s.file, "tools/cmd/") && s.lines >= maxMainLines {
		c.add(s, s.ast.Package, fmt.Sprintf("%d lines; a command's main.go has fewer than %d", s.lines, maxMainLines), "move the work into a package")
	}
	for _, imp := range s.ast.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			continue
		}
		if below, ok := strings.CutPrefix(p, module+"/"); ok {
			c.arrow(s, imp.Pos(), packageName(below))
			continue
		}
		for _, f := range forbidden {
			if f.path == p && within(s.pkg, f.pkg) {
				c.add(s, imp.Pos(), fmt.Sprintf("%s imports %s: %s", s.pkg, p, f.why), "")
			}
		}
	}
	c.programs(s)
}

func (c *checker) document(s source) {
	if c.documents == nil {
		c.documents, c.first = map[string]bool{}, map[string]string{}
	}
	dir := path.Dir(s.file)
	if c.first[dir] == "" {
		c.first[dir] = s.file
	}
	if s.ast.Doc != nil {
		c.documents[dir] = true
	}
}

// packages checks what only all files of a package tell.
func (c *checker) packages() {
	for dir, file := range c.first {
		if !c.documents[dir] {
			c.found = append(c.found, diag.Diag{File: file, Msg: "package " + dir + " has no comment", Hint: "say in doc.go what the package is, in words first"})
		}
		if _, name := stageOf(packageName(dir)); name == "" {
			c.found = append(c.found, diag.Diag{File: file, Msg: "package " + dir + " has no stage", Hint: "add it to stages in archtest, and to docs/architecture.md"})
		}
	}
	slices.SortFunc(c.found, func(a, b diag.Diag) int {
		if n := strings.Compare(a.File, b.File); n != 0 {
			return n
		}
		return a.Line - b.Line
	})
}

// arrow checks that an import goes from a later stage to an earlier one, and
// not to a stranger.
func (c *checker) arrow(s source, pos token.Pos, to string) {
	from, fromName := stageOf(s.pkg)
	at, toName := stageOf(to)
	if fromName == "" || toName == "" {
		return // told of once, by packages
	}
	if at > from {
		c.add(s, pos, fmt.Sprintf("%s imports %s, which is of a later stage", s.pkg, to), "an earlier stage never knows that a later one exists: docs/architecture.md")
	}
	for _, row := range strangers {
		if row.pkg != fromName {
			continue
		}
		for _, never := range row.never {
			if within(to, never) || never == "tools/internal" && !strings.Contains(to, "kpatch") {
				c.add(s, pos, fmt.Sprintf("%s imports %s: %s", s.pkg, to, row.why), "")
			}
		}
	}
}

// stageOf returns the stage of a package and the name of its row, "" if it has none.
func stageOf(pkg string) (int, string) {
	stage, name := 0, ""
	for i, row := range stages {
		for _, r := range row {
			if within(pkg, r) && len(r) > len(name) {
				stage, name = i, r
			}
		}
	}
	return stage, name
}

// within reports whether pkg is the package named, or below it.
func within(pkg, name string) bool { return pkg == name || strings.HasPrefix(pkg, name+"/") }

// programs checks that programs are run only by their owners, through proc.
func (c *checker) programs(s source) {
	for _, way := range ways {
		local := localName(s.ast, way.path)
		if local == "" {
			continue
		}
		owner := allowed(owners, s.pkg)
		if way.names == nil && !owner {
			c.add(s, s.ast.Package, fmt.Sprintf("%s imports %s and owns no program", s.pkg, way.path),
				"let the package that owns the program run it, or add a row to owners in archtest")
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok || x.Name != local {
				return true
			}
			starts := slices.Contains(way.names, sel.Sel.Name)
			if way.path == "os/exec" {
				starts = sel.Sel.Name == "Command" || sel.Sel.Name == "CommandContext"
			}
			if starts && !allowed(starters, s.pkg) {
				c.add(s, sel.Pos(), fmt.Sprintf("%s starts a program by %s.%s", s.pkg, local, sel.Sel.Name), "use proc.Command, so that it dies with us")
			}
			return true
		})
	}
}

func allowed(table map[string]string, pkg string) bool {
	for name := range table {
		if within(pkg, name) {
			return true
		}
	}
	return false
}

// localName returns the name by which a file knows a package, "" if it does not.
func localName(f *ast.File, path string) string {
	for _, imp := range f.Imports {
		if p, err := strconv.Unquote(imp.Path.Value); err != nil || p != path {
			continue
		}
		if imp.Name != nil {
			return imp.Name.Name
		}
		return path[strings.LastIndexByte(path, '/')+1:]
	}
	return ""
}

func (c *checker) add(s source, pos token.Pos, msg, hint string) {
	c.found = append(c.found, diag.Diag{File: s.file, Line: s.fset.Position(pos).Line, Msg: msg, Hint: hint})
}
