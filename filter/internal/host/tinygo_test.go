package host

import (
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"testing"
)

// TestTinyGoTypeChecks type-checks the package as TinyGo would build it, with the other SDK. `go vet -tags=tinygo`
// can't: that SDK declares its host calls as functions without a body, which only TinyGo accepts.
func TestTinyGoTypeChecks(t *testing.T) {
	for _, target := range []struct{ os, arch string }{{"wasip1", "wasm"}, {"linux", "amd64"}} {
		context := build.Default
		context.GOOS, context.GOARCH, context.BuildTags, context.CgoEnabled = target.os, target.arch, []string{"tinygo"}, false
		found, err := context.ImportDir(".", 0)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		var parsed []*ast.File
		seen := map[string]bool{}
		for _, name := range found.GoFiles {
			file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed, seen[name] = append(parsed, file), true
		}
		if !seen["sdk_tinygo.go"] || seen["sdk_go.go"] {
			t.Fatalf("with the tag tinygo: got files %v, want sdk_tinygo.go and not sdk_go.go", found.GoFiles)
		}
		check := types.Config{
			Importer: importer.ForCompiler(files, "source", nil),
			Error:    func(err error) { t.Errorf("got error %v, want none", err) },
		}
		if _, err := check.Check("host", files, parsed, nil); err != nil {
			t.Errorf("%s/%s: got error %v, want none", target.os, target.arch, err)
		}
	}
}
