package render

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Comments at the top of the files, for their readers.
const (
	inlineHeader = `# Written by weir render envoy. Start it with: envoy -c FILE
# The policy is inline, under the filter named weir. If it has mistakes, Envoy logs them and exits. Render with -o FILE to
# get a policy that is reloaded without a restart.
`
	bootstrapHeader = `# Written by weir render envoy. Start it with: envoy -c %s
# The policy is in %s, which Envoy watches: rename a new file over it (weir render envoy with the
# same -o does) and it applies without a restart. Envoy logs the mistakes of a bad policy and keeps the last good one.
# Until the first good policy is loaded, Envoy answers every request with 500.
`
	listenersInBootstrap = `# Changes to this file need a restart: the routes with their back-off and failover, the clusters with their health checks.
`
	listenersWatched = `# Envoy also watches the listeners and their routes, with back-off and failover, in %s. Changes to this
# file need a restart: the clusters with their health checks.
`
	ecdsHeader = `# Written by weir render envoy: the filter named weir, with the policy under value. Watched by the Envoy of
# %s. Do not edit it in place: Envoy loads a new file that is renamed over it.
`
	ldsHeader = `# Written by weir render envoy: the listeners and their routes. Watched by the Envoy of
# %s. Do not edit it in place: Envoy loads a new file that is renamed over it.
`
)

// File is a rendered file.
type File struct {
	Path    string
	Content []byte
	Watched bool // Envoy reloads it on change; otherwise Envoy reads it only at its start
}

// Inline renders a self-contained bootstrap, with a comment for its reader.
func Inline(o Options) ([]byte, error) {
	o.ECDS, o.LDS = "", ""
	bootstrap, err := Bootstrap(o)
	if err != nil {
		return nil, err
	}
	f, err := file("", bootstrap, inlineHeader)
	return f.Content, err
}

// Files renders a bootstrap for path and, for the same directory, the watched files: the listeners, if LDS is not
// empty, and the filter. All paths are relative to the directory where Envoy must be started. Write the files in this
// order: the bootstrap is last, since an Envoy that reads it needs the others; and the routes are written before the
// filter that uses them for failover.
func Files(o Options, path string) ([]File, error) {
	if unprintable(path) { // the path is part of a comment, which a line break would end
		return nil, fmt.Errorf("%q: a path must be UTF-8 without control characters", path)
	}
	o.ECDS = WatchedPath(path)
	header := fmt.Sprintf(bootstrapHeader, path, o.ECDS) + listenersInBootstrap
	var files []File
	if o.LDS != "" {
		header = fmt.Sprintf(bootstrapHeader+listenersWatched, path, o.ECDS, o.LDS)
		list, err := LDS(o)
		if err != nil {
			return nil, err
		}
		f, err := file(o.LDS, list, fmt.Sprintf(ldsHeader, path))
		if err != nil {
			return nil, err
		}
		f.Watched = true
		files = append(files, f)
	}
	filter, err := ECDS(o)
	if err != nil {
		return nil, err
	}
	f, err := file(o.ECDS, filter, fmt.Sprintf(ecdsHeader, path))
	if err != nil {
		return nil, err
	}
	f.Watched = true
	files = append(files, f)
	bootstrap, err := Bootstrap(o)
	if err != nil {
		return nil, err
	}
	f, err = file(path, bootstrap, header)
	return append(files, f), err
}

func file(path string, m proto.Message, header string) (File, error) {
	body, err := YAML(m)
	return File{Path: path, Content: append([]byte(header), body...)}, err
}

// WatchedPath is the path of the watched file with a bootstrap's filter: quickstart.ecds.yaml for quickstart.yaml.
func WatchedPath(bootstrap string) string { return replaceExt(bootstrap, ".ecds.yaml") }

// ListenersPath is the path of the watched file with a bootstrap's listeners: quickstart.lds.yaml for quickstart.yaml.
func ListenersPath(bootstrap string) string { return replaceExt(bootstrap, ".lds.yaml") }

func replaceExt(path, ext string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ext
}

// UpToDate says that the file at the path has this content already.
func (f File) UpToDate() bool {
	content, err := os.ReadFile(f.Path)
	return err == nil && bytes.Equal(content, f.Content)
}

// Replace writes the file to its path by renaming, so that a reader sees either the old or the new content, and Envoy's
// watch, which looks for a rename, sees the change. An existing file keeps its mode, since it may hold a token. A new
// file has mode 0644 less the umask, since Envoy often runs as another user.
func (f File) Replace() error {
	dir, base := filepath.Split(f.Path)
	written, err := os.OpenFile(filepath.Join(dir, "."+base+"."+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no folder %s for %s: make it, or write somewhere else: %w", dir, base, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	if before, statErr := os.Stat(f.Path); statErr == nil {
		err = written.Chmod(before.Mode().Perm())
	}
	if err == nil {
		_, err = written.Write(f.Content)
	}
	err = errors.Join(err, written.Close())
	if err == nil {
		err = os.Rename(written.Name(), f.Path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(written.Name()))
	}
	return nil
}
