package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// The names of the SBOMs in Options.Output.
const (
	pluginBOM  = "plugin.cdx.json"
	commandBOM = "weir.cdx.json" // weir-OS-ARCH.cdx.json for the platforms
	product    = "github.com/weir-mesh/weir"
)

// part is a Go module, or what else is linked in.
type part struct{ path, version string }

// boms are the SBOMs by file name: of the module, and of each platform's command, which has other packages.
func (o *Options) boms(wasm []byte) (map[string][]byte, error) {
	parts, err := o.partsOfModule()
	if err != nil {
		return nil, err
	}
	boms := map[string][]byte{}
	if boms[pluginBOM], err = o.bom("weir.wasm", wasm, parts); err != nil {
		return nil, err
	}
	for platform, path := range o.Commands {
		program, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		info, err := buildinfo.Read(bytes.NewReader(program))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		of := []part{{"stdlib", strings.TrimPrefix(info.GoVersion, "go")}}
		for _, dep := range info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			of = append(of, part{dep.Path, dep.Version})
		}
		name := strings.Replace(commandBOM, "weir", "weir-"+strings.ReplaceAll(platform, "/", "-"), 1)
		if boms[name], err = o.bom("weir", program, of); err != nil {
			return nil, err
		}
	}
	return boms, nil
}

// tinygoLine is the line of filter/tinygo/go.mod that says which TinyGo builds the module.
var tinygoLine = regexp.MustCompile(`github\.com/tinygo-org/tinygo (v\S+)`)

// partsOfModule are those of weir.wasm, which does not tell by itself: the Go modules whose packages it imports, TinyGo's runtime
// and standard library, and what Debian's packages of LLVM 19 have linked in, whose version is the building machine's.
func (o *Options) partsOfModule() ([]part, error) {
	list := exec.Command("go", "list", "-deps", "-tags=abi021,tinygo", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", "./filter")
	list.Dir, list.Stderr = o.Source, os.Stderr
	list.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	said, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	modules := map[part]bool{}
	for line := range strings.Lines(string(said)) {
		if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok && path != product && version != "" {
			modules[part{path, version}] = true
		}
	}
	text, err := os.ReadFile(filepath.Join(o.Source, "filter", "tinygo", "go.mod"))
	if err != nil {
		return nil, err
	}
	found := tinygoLine.FindSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("filter/tinygo/go.mod: no version of TinyGo")
	}
	modules[part{"github.com/tinygo-org/tinygo", string(found[1])}] = true
	parts := slices.SortedFunc(maps.Keys(modules), func(a, b part) int { return strings.Compare(a.path, b.path) })
	return append(parts, part{"wasi-libc", ""}, part{"compiler-rt", ""}), nil
}

// bom is the SBOM of a file that is made of these parts.
func (o *Options) bom(name string, content []byte, parts []part) ([]byte, error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	bom := cdx.NewBOM()
	// A version 8 UUID (RFC 9562) of what it describes: each build of the same commit has the same one.
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%s-%s-8%s-8%s-%s", digest[:8], digest[8:12], digest[13:16], digest[17:20], digest[20:32])
	main := cdx.Component{
		BOMRef: product, Type: cdx.ComponentTypeApplication, Name: name, Version: o.Version, PackageURL: purl(part{product, "v" + o.Version}),
		Hashes:   &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: digest}},
		Licenses: &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
	}
	if o.Revision != "" {
		main.Properties = &[]cdx.Property{{Name: "weir:commit", Value: o.Revision}}
	}
	bom.Metadata = &cdx.Metadata{Timestamp: o.Created.Format(time.RFC3339), Component: &main}
	components, references := []cdx.Component{}, []string{}
	for _, p := range parts {
		c := cdx.Component{BOMRef: p.path, Type: cdx.ComponentTypeLibrary, Name: p.path, Version: p.version}
		if p.version != "" {
			c.PackageURL = purl(p)
			c.BOMRef = c.PackageURL
		}
		components, references = append(components, c), append(references, c.BOMRef)
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: product, Dependencies: &references}}
	var b bytes.Buffer
	err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return b.Bytes(), err
}

// purl is a Go module's package URL (https://github.com/package-url/purl-spec).
func purl(p part) string {
	return "pkg:golang/" + strings.ToLower(p.path) + "@" + strings.ReplaceAll(p.version, "+", "%2B")
}
