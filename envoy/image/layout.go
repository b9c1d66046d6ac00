package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Written is an image in a layout.
type Written struct {
	Path, Digest string
	Size         int64 // of the compressed layers, on all platforms
}

// Write writes all images and their SBOMs.
func Write(o Options) (written []Written, err error) {
	wasm, err := os.ReadFile(o.Module)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Output, 0o755); err != nil {
		return nil, err
	}
	boms, err := o.boms(wasm)
	if err != nil {
		return nil, err
	}
	for name, bom := range boms {
		if err := os.WriteFile(filepath.Join(o.Output, name), bom, 0o644); err != nil {
			return nil, err
		}
	}
	plugin, err := o.plugin(wasm)
	if err != nil {
		return nil, err
	}
	artifact, err := o.artifact(wasm, boms[pluginBOM])
	if err != nil {
		return nil, err
	}
	for _, image := range []struct {
		name  string
		image v1.Image
	}{{"plugin", plugin}, {"plugin-artifact", artifact}} {
		w, err := o.save(image.name, func(p layout.Path) error { return p.AppendImage(image.image) }, image.image)
		if err != nil {
			return nil, err
		}
		written = append(written, w)
	}
	if len(o.Commands) == 0 {
		return written, nil
	}
	index, err := o.command(wasm)
	if err != nil {
		return nil, err
	}
	w, err := o.save("weir", func(p layout.Path) error { return p.AppendIndex(index) }, index)
	return append(written, w), err
}

// save writes a layout with one image or index, in place of an older one.
func (o *Options) save(name string, add func(layout.Path) error, what interface{ Digest() (v1.Hash, error) }) (w Written, err error) {
	w.Path = filepath.Join(o.Output, name)
	if _, err := os.Stat(filepath.Join(w.Path, "oci-layout")); err == nil { // else it is no folder of ours
		if err := os.RemoveAll(w.Path); err != nil {
			return w, err
		}
	}
	p, err := layout.Write(w.Path, empty.Index)
	if err != nil {
		return w, err
	}
	if err := add(p); err != nil {
		return w, err
	}
	digest, err := what.Digest()
	if err != nil {
		return w, err
	}
	w.Digest = digest.String()
	err = filepath.WalkDir(filepath.Join(w.Path, "blobs"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		w.Size += info.Size()
		return err
	})
	return w, err
}

// file is one in a layer.
type file struct {
	path string
	mode int64
	data []byte
}

// layer is a compressed tar of files, all of root and of one time.
func layer(created time.Time, files ...file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Size: int64(len(f.data)), ModTime: created, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}

// annotations are of a manifest (https://specs.opencontainers.org/image-spec/annotations/).
func (o *Options) annotations(title, description string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       title,
		"org.opencontainers.image.description": description,
		"org.opencontainers.image.version":     o.Version,
		"org.opencontainers.image.revision":    o.Revision,
		"org.opencontainers.image.created":     o.Created.Format(time.RFC3339),
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
}

// push sends the one image of a layout to a registry.
func push(ctx context.Context, path string, references []string, out io.Writer) error {
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if len(manifest.Manifests) != 1 {
		return fmt.Errorf("%s has %d images, want one that image write has written", path, len(manifest.Manifests))
	}
	only := manifest.Manifests[0]
	for _, text := range references {
		reference, err := name.ParseReference(text)
		if err != nil {
			return err
		}
		options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
		switch {
		case only.MediaType.IsIndex():
			inner, found := index.ImageIndex(only.Digest)
			if found == nil {
				found = remote.WriteIndex(reference, inner, options...)
			}
			err = found
		case only.MediaType.IsImage():
			image, found := index.Image(only.Digest)
			if found == nil {
				found = remote.Write(reference, image, options...)
			}
			err = found
		default:
			err = errors.New("neither an image nor an index")
		}
		if err != nil {
			return fmt.Errorf("%s to %s: %w", path, text, err)
		}
		fmt.Fprintln(out, reference.Context().Digest(only.Digest.String()))
	}
	return nil
}
