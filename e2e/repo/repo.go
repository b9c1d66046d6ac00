// Package repo finds the files of Weir's repository from a test in any folder of it.
package repo

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// productModule is a line of the product's go.mod. The other modules, such as e2e, are in folders below it.
var productModule = regexp.MustCompile(`(?m)^module github\.com/weir-mesh/weir$`)

// Root is the repository's top folder, the nearest one above the working directory with the product's go.mod.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && productModule.Match(text) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of github.com/weir-mesh/weir in %s or above it", start)
		}
	}
}

// Edition is the toolchain that built the filter under test, by E2E_EDITION: "tinygo", whose module ships, or "go".
func Edition() string {
	switch edition := os.Getenv("E2E_EDITION"); edition {
	case "", "tinygo":
		return "tinygo"
	case "go":
		return "go"
	default:
		panic(fmt.Sprintf("E2E_EDITION: want tinygo or go, got %q", edition))
	}
}

// ModuleFile is where make puts a Wasm module of the edition under test, from the repository's top folder.
func ModuleFile(name string) string {
	if Edition() == "go" {
		name += "-go"
	}
	return "build/" + name + ".wasm"
}

// Module is the path of a Wasm module that make has built.
func Module(name string) (string, error) {
	file := filepath.Base(ModuleFile(name))
	return Built(file, "build/"+file)
}

// Built is the path of a file in build/. The error names the make target that builds the file.
func Built(name, target string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "build", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run `make %s` first", err, target)
	}
	return path, nil
}
