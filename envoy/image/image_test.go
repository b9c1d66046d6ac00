package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const fakeModule = "\x00asm\x01\x00\x00\x00 a module"

// options are of images of a small module, and of this test as the command: it has the build information of a Go program.
func options(t *testing.T) Options {
	t.Helper()
	module := filepath.Join(t.TempDir(), "weir.wasm")
	if err := os.WriteFile(module, []byte(fakeModule), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Module: module, Commands: map[string]string{"linux/amd64": program, "linux/arm64": program}, Source: "../..",
		Output: filepath.Join(t.TempDir(), "images"), Revision: strings.Repeat("ab", 20), Created: time.Unix(1796119200, 0).UTC(), Version: "1.2.3",
	}
}

// TestSameBytes: the same commit has the same bytes, wherever and whenever it is built, also over an older image.
func TestSameBytes(t *testing.T) {
	first, again := options(t), options(t)
	older := again
	older.Created, older.Version = older.Created.Add(time.Hour), "1.2.2"
	for _, o := range []Options{first, older, again} {
		if _, err := Write(o); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TZ", "Asia/Tokyo")
	}
	files := 0
	for path, content := range tree(t, first.Output) {
		files++
		if other, ok := tree(t, again.Output)[path]; !ok || !bytes.Equal(content, other) {
			t.Errorf("%s: got other bytes the second time (%d, then %d)", path, len(content), len(other))
		}
	}
	if n := len(tree(t, again.Output)); n != files || n < 20 {
		t.Errorf("got %d files, then %d, want the same number, at least 20", files, n)
	}
}

func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// pushed writes the images, pushes one to a registry, and returns its name there.
func pushed(t *testing.T, o Options, image string) name.Reference {
	t.Helper()
	if _, err := Write(o); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	text := strings.TrimPrefix(server.URL, "http://") + "/weir/" + image + ":1"
	var said bytes.Buffer
	if err := run(context.Background(), []string{"push", filepath.Join(o.Output, image), text}, &said); err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	described, err := remote.Head(reference)
	if err != nil {
		t.Fatal(err)
	}
	if want := reference.Context().Digest(described.Digest.String()).String() + "\n"; said.String() != want {
		t.Errorf("push wrote %q, want %q", said.String(), want)
	}
	return reference
}

func TestPlugin(t *testing.T) {
	o := options(t)
	image, err := remote.Image(pushed(t, o, "plugin"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 || len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != types.OCILayer {
		t.Errorf("got manifest %+v, want OCI's with one layer", manifest)
	}
	if got := manifest.Annotations["org.opencontainers.image.created"]; got != "2026-12-01T10:00:00Z" {
		t.Errorf("got created %s, want the commit's time", got)
	}
	if got := filesOf(t, image); len(got) != 1 || got["plugin.wasm"] != fakeModule {
		t.Errorf("got files %q, want the module as plugin.wasm", got)
	}
}

func TestArtifact(t *testing.T) {
	o := options(t)
	image, err := remote.Image(pushed(t, o, "plugin-artifact"))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(fakeModule))
	var kinds []string
	for _, l := range layers {
		kind, err := l.MediaType()
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, string(kind))
	}
	digest, err := layers[0].Digest()
	if want := []string{"application/vnd.module.wasm.content.layer.v1+wasm", "application/vnd.cyclonedx+json"}; err != nil || !slices.Equal(kinds, want) || digest.Hex != hex.EncodeToString(sum[:]) {
		t.Errorf("got layers %q, the first with digest %v (%v), want %q and the file's digest", kinds, digest, err, want)
	}
}

func TestCommand(t *testing.T) {
	o := options(t)
	reference := pushed(t, o, "weir")
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := remote.Image(reference, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(image); err != nil {
			t.Error(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != architecture || config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/weir"}) {
			t.Errorf("got %s, %+v, want %s, a user other than root, and the command", config.Architecture, config.Config, architecture)
		}
		files := filesOf(t, image)
		program, err := os.ReadFile(o.Commands["linux/"+architecture])
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 3 || files["weir"] != string(program) || files["weir.wasm"] != fakeModule || strings.Count(files[roots], "BEGIN CERTIFICATE") < 100 {
			t.Errorf("%s: got %d files, want the command, the module beside it, and certificates", architecture, len(files))
		}
	}
}

func filesOf(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for archive := tar.NewReader(r); ; {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			if header.Uid != 0 || !header.ModTime.Equal(time.Unix(1796119200, 0)) {
				t.Errorf("%s: got owner %d, time %v, want root's and the commit's", header.Name, header.Uid, header.ModTime)
			}
			files[header.Name] = string(content)
		}
	}
	return files
}

// TestBOMs checks the SBOMs by CycloneDX's own schema, and that they name what the files are made of.
func TestBOMs(t *testing.T) {
	o := options(t)
	if _, err := Write(o); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	for _, file := range []string{"bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schemax.json"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(said)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+strings.Replace(file, "schemax", "schema", 1), schema); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for file, wants := range map[string][]string{
		"plugin.cdx.json":           {"github.com/dchest/siphash", "github.com/tinygo-org/tinygo", "wasi-libc"},
		"weir-linux-amd64.cdx.json": {"github.com/google/go-containerregistry", "stdlib"},
		"weir-linux-arm64.cdx.json": {"stdlib"},
	} {
		text, err := os.ReadFile(filepath.Join(o.Output, file))
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var bom struct {
			SerialNumber string
			Components   []struct{ Name, Version string }
			Metadata     struct{ Component struct{ Version string } }
		}
		if err := json.Unmarshal(text, &bom); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range bom.Components {
			names = append(names, c.Name)
		}
		for _, want := range wants {
			if !slices.Contains(names, want) {
				t.Errorf("%s: got components %q, want %s among them", file, names, want)
			}
		}
		if slices.Contains(names, product) || bom.Metadata.Component.Version != "1.2.3" {
			t.Errorf("%s: got %+v, want Weir 1.2.3 as the whole and not as a part", file, bom.Metadata)
		}
	}
	broken, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "x"}]}`))
	if err != nil || schema.Validate(broken) == nil {
		t.Errorf("a component without a type: got it accepted (%v), want the schema to refuse it", err)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "usage: image write"},
		{[]string{"write", "--command", "weir"}, `--command: want OS/ARCH=FILE, got "weir"`},
		{[]string{"write", "--module", "nowhere.wasm"}, "nowhere.wasm: no such file"},
		{[]string{"push", "nowhere", "localhost/weir:1"}, "nowhere"},
	} {
		if err := run(context.Background(), test.args, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("image %s: got %v, want %q", fmt.Sprint(test.args), err, test.want)
		}
	}
}
