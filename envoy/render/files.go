package render

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Headers of the files, for whoever opens them.
const (
	inlineHeader = `# Written by weir render envoy. Start it with: envoy -c FILE
# The policy stands inline, under the filter named weir; Envoy ends with the list of its mistakes if it has any. Render
# with -o FILE to get a policy that is reloaded without a restart.
`
	bootstrapHeader = `# Written by weir render envoy. Start it with: envoy -c %s
# The policy is in %s, which Envoy watches: rename a new file over it (weir render envoy with the
# same -o does) and it is in force without a restart. One with mistakes is refused, with all of them in the log, and the
# last good one stays. Until a first good one is there, every request is answered with 500.
`
	listenersInBootstrap = `# What stands here takes a restart: the routes with their back-off and failover, the clusters with their health checks.
`
	listenersWatched = `# So are the listeners and their routes, with back-off and failover, in %s. What stands here takes a
# restart: the clusters with their health checks.
`
	ecdsHeader = `# Written by weir render envoy: the filter named weir, with the policy under value. Watched by the Envoy of
# %s. Never edit it in place: Envoy takes a new file that is renamed over it.
`
	ldsHeader = `# Written by weir render envoy: the listeners and their routes. Watched by the Envoy of
# %s. Never edit it in place: Envoy takes a new file that is renamed over it.
`
)

// File is a rendered file.
type File struct {
	Path    string
	Content []byte
	Watched bool // Envoy follows it; else it reads it when it starts
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

// Files renders a bootstrap that is to stand at path and, beside it, the watched files: the listeners, where LDS is not
// empty, and the filter. The paths are relative to the same directory as path is, and Envoy has to be started there. They
// are to be written in this order: the bootstrap is last, since an Envoy that reads it wants the others; and the routes are
// there before a filter that fails over by them.
func Files(o Options, path string) ([]File, error) {
	if unprintable(path) { // it stands in a comment, which a line break would end
		return nil, fmt.Errorf("%q: a path may hold no control character, and must be UTF-8", path)
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

// WatchedPath is where the watched file of a bootstrap's filter stands: quickstart.ecds.yaml beside quickstart.yaml.
func WatchedPath(bootstrap string) string { return beside(bootstrap, ".ecds.yaml") }

// ListenersPath is where the watched file of a bootstrap's listeners stands: quickstart.lds.yaml beside quickstart.yaml.
func ListenersPath(bootstrap string) string { return beside(bootstrap, ".lds.yaml") }

func beside(bootstrap, ending string) string {
	return strings.TrimSuffix(bootstrap, filepath.Ext(bootstrap)) + ending
}

// Stands says that the file is at its path already, with this content.
func (f File) Stands() bool {
	content, err := os.ReadFile(f.Path)
	return err == nil && bytes.Equal(content, f.Content)
}

// Replace puts the file at its path by renaming, so that a reader sees the old content or the new one and Envoy's
// watch, which looks for a rename, sees the change. A file that was there keeps its mode: it may hold a token. A new one is
// for all to read whom the umask does not keep out, since Envoy often runs as a user of its own.
func (f File) Replace() error {
	dir, base := filepath.Split(f.Path)
	written, err := os.OpenFile(filepath.Join(dir, "."+base+"."+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
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
