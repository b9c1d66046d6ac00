package engine

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/weir-mesh/weir/envoy/run"
)

// findImage returns E2E_ENVOY_IMAGE, which has to be there already, or else the image that is made of this machine's
// Envoy binary (see run.FindFrom), building it when it is not there yet.
func findImage(root string) (string, error) {
	if image := os.Getenv("E2E_ENVOY_IMAGE"); image != "" {
		if _, err := output("docker", "image", "inspect", "--format", "{{.Id}}", image); err != nil {
			return "", fmt.Errorf("E2E_ENVOY_IMAGE is never pulled by a test, `docker pull` it: %w", err)
		}
		return image, nil
	}
	found, err := run.FindFrom(root)
	if err != nil {
		return "", fmt.Errorf("no image: set E2E_ENVOY_IMAGE, or provide the binary that one is made of: %w", err)
	}
	sum, err := hashFile(found.Path)
	if err != nil {
		return "", err
	}
	image := "weir-e2e-envoy:" + sum[:12]
	if _, err := output("docker", "image", "inspect", "--format", "{{.Id}}", image); err == nil {
		return image, nil
	}
	return image, buildImage(image, found.Path)
}

// buildImage makes an image of nothing but Envoy and the shared libraries it is linked with. It imports a file system,
// which needs no builder: which of those an engine has depends on its version and its plugins.
func buildImage(image, envoy string) error {
	libraries, err := linked(envoy)
	if err != nil {
		return err
	}
	load := exec.Command("docker", "import", "--message", "made by weir's e2e tests", "-", image)
	archive, err := load.StdinPipe()
	if err != nil {
		return err
	}
	var said strings.Builder
	load.Stdout, load.Stderr = &said, &said
	if err := load.Start(); err != nil {
		return err
	}
	written := writeArchive(archive, envoy, libraries)
	if err := load.Wait(); err != nil {
		return fmt.Errorf("docker import: %w: %s", err, said.String())
	}
	return written
}

func writeArchive(to io.WriteCloser, envoy string, libraries []string) error {
	archive := tar.NewWriter(to)
	err := addFile(archive, inImage, envoy)
	for _, library := range libraries {
		err = errors.Join(err, addFile(archive, library, library))
	}
	return errors.Join(err, archive.Close(), to.Close())
}

func addFile(archive *tar.Writer, name, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: 0o755, Size: info.Size()}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

// libraryPath finds the absolute path in a line of ldd: `libc.so.6 => /lib/…/libc.so.6 (0x…)`, and for the loader
// `/lib64/ld-linux-x86-64.so.2 (0x…)`.
var libraryPath = regexp.MustCompile(`(?:=> |^\s*)(/\S+) \(0x`)

func linked(file string) ([]string, error) {
	text, err := output("ldd", file)
	if err != nil {
		return nil, err
	}
	var paths []string
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if match := libraryPath.FindStringSubmatch(lines.Text()); match != nil {
			paths = append(paths, match[1])
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("ldd %s: no shared library in %q", file, text)
	}
	return paths, nil
}

func hashFile(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
