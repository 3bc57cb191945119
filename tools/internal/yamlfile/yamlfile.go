// Package yamlfile reads the YAML files of the repository strictly: an unknown
// key, a value of the wrong kind or a key given twice is a diagnostic with
// file, line and column, and so is what a reader of the values finds wrong
// with them later.
package yamlfile

import (
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"cloudkernel/tools/internal/diag"
)

// File is a file that was read.
type File struct {
	Name string
	ast  *ast.File
}

// Decode reads data, the content of the file that is called name, into v. The
// error is a diag.List.
func Decode(name string, data []byte, v any) (*File, error) {
	f := &File{Name: name}
	var err error
	if f.ast, err = parser.ParseBytes(data, 0); err != nil {
		return nil, f.explain(err, v)
	}
	if len(f.ast.Docs) > 1 {
		second := f.ast.Docs[1]
		pos := second.Start.Position
		return nil, diag.List{{File: name, Line: pos.Line, Col: pos.Column, Msg: "a second document", Hint: "the file holds one"}}
	}
	err = yaml.NewDecoder(strings.NewReader(string(data)), yaml.Strict()).Decode(v)
	if errors.Is(err, io.EOF) {
		return nil, diag.List{{File: name, Msg: "the file is empty"}}
	}
	if err != nil {
		return nil, f.explain(err, v)
	}
	return f, nil
}

// valueError is what is wrong with one value, found by its own reader.
type valueError struct {
	node ast.Node
	msg  string
}

func (e *valueError) Error() string { return e.msg }

// Bad is the error that a type's UnmarshalYAML(ast.Node) returns for a value
// it does not take, so that the diagnostic shows its place.
func Bad(node ast.Node, err error) error {
	if err == nil {
		return nil
	}
	return &valueError{node, err.Error()}
}

// Scalar returns the text of a scalar node as it was written, without quotes.
func Scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case ast.ScalarNode:
		if t := n.GetToken(); t != nil {
			return t.Value, nil
		}
	}
	return "", &valueError{node, "a single value is wanted here"}
}

// explain makes a diagnostic of what the decoder says.
func (f *File) explain(err error, v any) error {
	d := diag.Diag{File: f.Name, Msg: err.Error()}
	var y yaml.Error
	var value *valueError
	if errors.As(err, &value) {
		d.Msg = value.msg
		if t := value.node.GetToken(); t != nil && t.Position != nil {
			d.Line, d.Col = t.Position.Line, t.Position.Column
		}
	} else if errors.As(err, &y) {
		d.Msg = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			d.Line, d.Col = t.Position.Line, t.Position.Column
			if key, ok := strings.CutPrefix(d.Msg, "unknown field "); ok {
				key = strings.Trim(key, `"`)
				d.Msg = `unknown key "` + key + `"`
				if near := nearest(key, keys(reflect.TypeOf(v), map[reflect.Type]bool{})); near != "" {
					d.Hint = `did you mean "` + near + `"?`
				}
			}
		}
	}
	return diag.List{d}
}

// At returns the diagnostic with the place of the value at path, which is a
// YAML path such as "$.steps[1].exit"; of its nearest ancestor if there is no
// such value.
func (f *File) At(path, msg, hint string) diag.Diag {
	d := diag.Diag{File: f.Name, Msg: msg, Hint: hint}
	for path != "" && path != "$" {
		if p, err := yaml.PathString(path); err == nil {
			if node, err := p.FilterFile(f.ast); err == nil && node != nil {
				if t := node.GetToken(); t != nil && t.Position != nil {
					d.Line, d.Col = t.Position.Line, t.Position.Column
					return d
				}
			}
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return d
}

// keys collects the keys that the struct types below t have.
func keys(t reflect.Type, seen map[reflect.Type]bool) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return nil
	}
	seen[t] = true
	var list []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			list = append(list, name)
		}
		list = append(list, keys(t.Field(i).Type, seen)...)
	}
	return list
}

// nearest returns the name that key is a small slip of, or "".
func nearest(key string, names []string) string {
	best, found := 3, ""
	for _, n := range names {
		if d := distance(key, n); d < best && d < len(n) {
			best, found = d, n
		}
	}
	return found
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
