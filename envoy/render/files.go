package render

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// inlineHeader stands above a bootstrap that holds the policy itself.
const inlineHeader = `# Written by weir render envoy. Start it with: envoy -c FILE
# The policy stands inline, under the filter named weir; Envoy ends with the list of its mistakes if it has any. Render
# with -o FILE to get a policy that is reloaded without a restart.
# Weir's own admin listener, private and apart from the traffic, will have its place beside the listener "traffic".
`

// bootstrapHeader stands above a bootstrap whose policy is in a watched file.
const bootstrapHeader = `# Written by weir render envoy. Start it with: envoy -c %s
# The policy is in %s, which Envoy watches: rename a new file over it (weir render envoy with the
# same -o does) and it is in force without a restart. One with mistakes is refused, with all of them in the log, and the
# last good one stays. Until a first good one is there, every request is answered with 500.
# Weir's own admin listener, private and apart from the traffic, will have its place beside the listener "traffic".
`

// watchedHeader stands above the watched file.
const watchedHeader = `# Written by weir render envoy: the filter named weir, with the policy under value. Watched by the Envoy of
# %s. Never edit it in place: Envoy takes a new file that is renamed over it.
`

// File is a rendered file.
type File struct {
	Path    string
	Content []byte
}

// Inline renders a self-contained bootstrap, with a comment for its reader.
func Inline(o Options) ([]byte, error) {
	o.ECDS = ""
	bootstrap, err := Bootstrap(o)
	if err != nil {
		return nil, err
	}
	body, err := YAML(bootstrap)
	return append([]byte(inlineHeader), body...), err
}

// Files renders a bootstrap that is to stand at path and, beside it, the watched file with the filter. The paths are
// relative to the same directory as path is, and Envoy has to be started there. The watched file comes first: it
// has to be there before an Envoy reads the bootstrap.
func Files(o Options, path string) ([]File, error) {
	o.ECDS = WatchedPath(path)
	bootstrap, err := Bootstrap(o)
	if err != nil {
		return nil, err
	}
	bootstrapYAML, err := YAML(bootstrap)
	if err != nil {
		return nil, err
	}
	watched, err := ECDS(o)
	if err != nil {
		return nil, err
	}
	watchedYAML, err := YAML(watched)
	if err != nil {
		return nil, err
	}
	return []File{
		{Path: o.ECDS, Content: append(fmt.Appendf(nil, watchedHeader, path), watchedYAML...)},
		{Path: path, Content: append(fmt.Appendf(nil, bootstrapHeader, path, o.ECDS), bootstrapYAML...)},
	}, nil
}

// WatchedPath is where the watched file of a bootstrap stands: quickstart.ecds.yaml beside quickstart.yaml.
func WatchedPath(bootstrap string) string {
	return strings.TrimSuffix(bootstrap, filepath.Ext(bootstrap)) + ".ecds.yaml"
}

// Replace puts the file at its path by renaming, so that a reader sees the old content or the new one and Envoy's
// watch, which looks for a rename, sees the change.
func (f File) Replace() error {
	written, err := os.CreateTemp(filepath.Dir(f.Path), "."+filepath.Base(f.Path)+".*")
	if err != nil {
		return err
	}
	_, writeErr := written.Write(f.Content)
	// Envoy often runs as a user of its own.
	err = errors.Join(writeErr, written.Chmod(0o644), written.Close())
	if err == nil {
		err = os.Rename(written.Name(), f.Path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(written.Name()))
	}
	return nil
}
