package command

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/version"
)

func TestVersion(t *testing.T) {
	first := run(t, "", "--version")
	if want := "weir " + version.Version; first.status != StatusOK || first.err != "" || !strings.HasPrefix(first.out, want) || strings.Count(first.out, "\n") != 1 {
		t.Errorf("--version: got %+v, want status 0 and one line that begins with %q", first, want)
	}
	if got := run(t, "", "version"); got != first {
		t.Errorf("version: got %+v, want %+v as for --version", got, first)
	}
}

func TestVersionLine(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for _, test := range []struct {
		name     string
		settings []debug.BuildSetting
		ok       bool
		want     string
	}{
		{"no build information", nil, false, ""},
		{"outside of a repository", nil, true, " (go1.26.0)"},
		{"committed", []debug.BuildSetting{setting("vcs.revision", "0123456789abcdef"), setting("vcs.modified", "false")}, true, " (revision 0123456789ab, go1.26.0)"},
		{"edited", []debug.BuildSetting{setting("vcs.revision", "0123456789abcdef"), setting("vcs.modified", "true")}, true, " (revision 0123456789ab, modified, go1.26.0)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := versionLine(&debug.BuildInfo{GoVersion: "go1.26.0", Settings: test.settings}, test.ok)
			if want := "weir " + version.Version + test.want; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
