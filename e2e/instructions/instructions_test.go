package instructions

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sync/errgroup"

	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/run"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
)

// baseline is testdata/baseline.json: what the module that ships has cost.
type baseline struct {
	Module  int      // bytes
	Exports []string // the functions that the host finds, sorted
	Rows    []row
}

type row struct {
	Name   string
	Policy json.RawMessage
	// Over is the instructions a request over an Envoy without the filter.
	Over int
}

// tolerance is by how much a figure may exceed its baseline, as a part of the whole.
const tolerance = 0.02

func read(t *testing.T) (b baseline) {
	t.Helper()
	text, err := os.ReadFile("testdata/baseline.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func shipped(t *testing.T) (file string) {
	t.Helper()
	if edition := repo.Edition(); edition != "tinygo" {
		t.Skipf("the baseline is of the module that ships, by TinyGo, not of the edition %s", edition)
	}
	file, err := repo.Module("weir")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRequests fails where a request costs more than 2 % above the baseline. Lower the baseline in the commit that makes a row
// cheaper. A row that is above is counted twice more: other processes on the machine cost a little too.
func TestRequests(t *testing.T) {
	file := shipped(t)
	if _, err := exec.LookPath("valgrind"); err != nil {
		if os.Getenv("CI") != "" && os.Geteuid() == 0 {
			t.Fatalf("%v: .ci/run installs it", err)
		}
		t.Skipf("%v: install valgrind to count instructions", err)
	}
	envoy, err := run.FindFrom("../..")
	if err != nil {
		t.Fatal(err)
	}
	rows := read(t).Rows
	measurements := make([]measurement, 1+len(rows)) // the first is without the filter
	for i := range measurements {
		measurements[i] = measurement{envoy: envoy.Path, dir: t.TempDir(), port: port.Reserve(t), admin: port.Reserve(t)}
		if i > 0 {
			measurements[i].filter = module(file, rows[i-1].Policy)
		}
	}
	count := func(m measurement) (int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		return m.count(ctx)
	}
	counts := make([]int, len(measurements))
	var group errgroup.Group // most of the time Envoy starts, which callgrind makes slow
	group.SetLimit(2)
	for i, m := range measurements {
		group.Go(func() (err error) {
			counts[i], err = count(m)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	none := counts[0]
	t.Logf("no filter: %d instructions a request", none)
	for i, row := range rows {
		over := counts[i+1] - none
		most := row.Over + int(tolerance*float64(none+row.Over))
		for try := 0; over > most && try < 2; try++ {
			t.Logf("%s: %d over no filter, counted again", row.Name, over)
			n, err := count(measurements[i+1])
			if err != nil {
				t.Fatal(err)
			}
			over = min(over, n-none)
		}
		t.Logf("%s: %d over no filter, baseline %d", row.Name, over, row.Over)
		if over > most {
			t.Errorf("%s: got %d instructions a request over no filter, want at most %d, the baseline's %d and 2 %% of the whole: "+
				"see docs/rationale.md, \"What host calls cost\"", row.Name, over, most, row.Over)
		}
	}
}

// budget is what a sidecar's module may have, in bytes.
const budget = 600_000

// TestModule fails where the module is larger than its budget or has grown by more than 2 %, or exports another set of functions: each one that the host
// finds, it calls.
func TestModule(t *testing.T) {
	file := shipped(t)
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := read(t)
	most := want.Module + int(tolerance*float64(want.Module))
	t.Logf("%d bytes, baseline %d", len(code), want.Module)
	if len(code) > budget {
		t.Errorf("%s: got %d bytes, want at most %d: a sidecar is to load no more; docs/rationale.md, Toolchains, says what is large", file, len(code), budget)
	}
	if len(code) > most {
		t.Errorf("%s: got %d bytes, want at most %d, the baseline's %d and 2 %%", file, len(code), most, want.Module)
	}
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = runtime.Close(ctx) }()
	compiled, err := runtime.CompileModule(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	var exports []string
	for name := range compiled.ExportedFunctions() {
		exports = append(exports, name)
	}
	slices.Sort(exports)
	if !slices.Equal(exports, want.Exports) {
		t.Errorf("%s: got exports %q, want %q", file, exports, want.Exports)
	}
}
