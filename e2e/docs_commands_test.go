package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/run"
)

// notRun are the commands of the docs that TestCommandsOfDocs does not run, by page. Each stands in a comment before its block, with
// the reason: `<!-- not run: COMMAND: REASON -->`, COMMAND being how the line begins. Here they are once more, so that none is added
// unseen.
var notRun = map[string][]string{
	"docs/CONTRIBUTING.md": {
		"git clone", ".ci/run", "go -C e2e test", "build/weir demo --keep", ".cache/envoy-venv/bin/python", `"$(.cache/envoy-venv`,
	},
	"docs/envoy-gateway.md": {"kubectl -n shop create secret"},
	"docs/istio.md":         {"go -C envoy/image run . push", "kubectl port-forward", "kubectl -n istio-system create secret"},
	"docs/replay.md":        {"kubectl logs"},
}

// pages are what the commands of a page need, by page. One without an entry gets an empty folder.
var pages = map[string]func(*docPage){
	"docs/CONTRIBUTING.md":    contributingPage,
	"docs/existing-envoy.md":  existingEnvoyPage,
	"docs/getting-started.md": gettingStartedPage,
	"docs/istio.md":           istioPage,
	"docs/migrating.md":       migratingPage,
	"docs/operating.md":       operatingPage,
	"docs/redis.md":           redisPage,
	"docs/replay.md":          replayPage,
	"docs/shadow.md":          shadowPage,
	"docs/troubleshooting.md": troubleshootingPage,
}

// docPage is one page whose commands are run, one after the other, in a folder of its own.
type docPage struct {
	*testing.T
	root, dir string
	ports     map[string]string // those that the page names → those that are used
	// at is called when a heading comes, after when a command that begins so has ended (or runs, if it does not end).
	at    map[string]func()
	after map[string]func(out string)
	logs  func() string // of the Envoy that a command started
}

// TestCommandsOfDocs: each command of README.md, docs and REFERENCE.md runs, in the order of its page, and ends well. Addresses are replaced by
// free ones. Of `make`, what it would do is asked for: CI runs it. Commands that do not end are started, and have to be ready.
func TestCommandsOfDocs(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	left, commands := map[string][]string{}, 0
	for _, file := range append(files, filepath.Join(root, "README.md"), filepath.Join(root, "policy", "REFERENCE.md")) {
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := commandBlocks(t, file)
		for _, b := range blocks {
			left[name] = append(left[name], b.left...)
			commands += len(b.commands)
		}
		if len(blocks) == 0 {
			if pages[name] != nil {
				t.Errorf("%s has no commands, but an entry in pages", name)
			}
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newDocPage(t, root, pages[name]).run(blocks)
		})
	}
	maps.DeleteFunc(left, func(_ string, all []string) bool { return len(all) == 0 })
	if !maps.EqualFunc(left, notRun, slices.Equal) {
		t.Errorf("the pages say that these are not run: %q, want those of notRun: %q", left, notRun)
	}
	if commands < 30 {
		t.Errorf("got %d commands, want all", commands)
	}
}

// commandBlock is one ```console block.
type commandBlock struct {
	headings []string // since the block before
	commands []string
	left     []string // that are not run
}

var notRunComment = regexp.MustCompile(`^<!-- not run: (.*) -->$`)

// commandBlocks are the blocks of a page with its commands: lines that begin with `$ `, and go on after a backslash.
func commandBlocks(t *testing.T, file string) (blocks []commandBlock) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b commandBlock
	fence, isConsole := false, false
	var prefixes, found []string
	for line := range strings.SplitSeq(string(text), "\n") {
		line = strings.TrimSpace(line)
		comment := notRunComment.FindStringSubmatch(line)
		switch {
		case comment != nil && !fence:
			for one := range strings.SplitSeq(comment[1], "; ") {
				prefix, reason, _ := strings.Cut(one, ": ")
				if len(reason) < 5 {
					t.Errorf("%s: %s: not run for no reason, want COMMAND: REASON", file, one)
				}
				prefixes = append(prefixes, prefix)
			}
		case strings.HasPrefix(line, "```") && !fence:
			fence, isConsole = true, line == "```console" || line == "```sh" || line == "```bash"
		case strings.HasPrefix(line, "```"):
			fence = false
			if len(b.commands)+len(b.left) > 0 {
				blocks, b = append(blocks, b), commandBlock{}
			}
			for _, prefix := range prefixes {
				if !slices.Contains(found, prefix) {
					t.Errorf("%s: no command of the block begins with %q, which is said not to be run", file, prefix)
				}
			}
			prefixes, found = nil, nil
		case fence && isConsole && strings.HasPrefix(line, "$ "):
			command := line[2:]
			i := slices.IndexFunc(prefixes, func(p string) bool { return strings.HasPrefix(command, p) })
			if i >= 0 {
				found, b.left = append(found, prefixes[i]), append(b.left, prefixes[i])
				continue
			}
			b.commands = append(b.commands, command)
		case fence && isConsole && len(b.commands) > 0 && strings.HasSuffix(b.commands[len(b.commands)-1], `\`):
			last := &b.commands[len(b.commands)-1]
			*last = strings.TrimSuffix(*last, `\`) + line
		case !fence && strings.HasPrefix(line, "#"):
			b.headings = append(b.headings, strings.TrimLeft(line, "# "))
		}
	}
	return blocks
}

func newDocPage(t *testing.T, root string, prepare func(*docPage)) *docPage {
	t.Helper()
	p := &docPage{T: t, root: root, dir: engine.Dir(t), ports: map[string]string{}, at: map[string]func(){}, after: map[string]func(string){}}
	for _, port := range []string{"9901", "9902", "9912", "10000", "8081", "6379", "7379"} {
		p.ports[port] = strconv.Itoa(int(engine.FreePort(t)))
	}
	found, err := run.FindFrom(root)
	if err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"build": "build", "envoy": "envoy", "policy": "policy", "Makefile": "Makefile", ".cache": ".cache", "bin/weir": "build/weir", "etc/weir.wasm": "build/weir.wasm",
	} {
		at := filepath.Join(p.dir, link)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, to), at); err != nil {
			t.Fatal(err)
		}
	}
	// Envoy, with the ports of a rendered file replaced, which the page does not name.
	p.script("bin/envoy", `for a in "$@"; do case $a in *.yaml) sed -i -E '`+p.sed()+`' "$a";; esac; done; exec `+found.Path+` --disable-hot-restart "$@"`)
	// What kubectl would apply has to be objects of Kubernetes.
	p.script("bin/kubectl", `[ "$*" = "apply -f -" ] && grep -q '^kind: '`)
	p.script("bin/helm", `[ "$1 $2" = "upgrade --install" ] && [ -f "$4/Chart.yaml" ] && grep -q '^kind: ' "$4"/templates/*.yaml`)
	if prepare != nil {
		prepare(p)
	}
	return p
}

// sed are the commands for sed that replace the ports.
func (p *docPage) sed() string {
	var all strings.Builder
	for from, to := range p.ports {
		fmt.Fprintf(&all, `s/\b%s\b/%s/g;`, from, to)
	}
	return all.String()
}

func (p *docPage) script(name, text string) {
	p.Helper()
	p.file(name, "#!/bin/sh\n"+text+"\n")
	if err := os.Chmod(filepath.Join(p.dir, name), 0o700); err != nil {
		p.Fatal(err)
	}
}

func (p *docPage) file(name, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
}

// replaced is a text of the page as it is for this test.
func (p *docPage) replaced(text string) string {
	for from, to := range p.ports {
		text = regexp.MustCompile(`\b`+from+`\b`).ReplaceAllString(text, to)
	}
	return strings.ReplaceAll(text, "/etc/envoy/", filepath.Join(p.dir, "etc")+"/")
}

func (p *docPage) run(blocks []commandBlock) {
	for _, b := range blocks {
		for _, heading := range b.headings {
			if do := p.at[heading]; do != nil {
				do()
			}
		}
		for _, command := range b.commands {
			out := p.command(command)
			for prefix, check := range p.after {
				if strings.HasPrefix(command, prefix) {
					check(out)
				}
			}
		}
	}
}

// endless are commands that run until they are stopped.
var endless = regexp.MustCompile(`^envoy -c|weir bridge|--watch`)

func (p *docPage) command(text string) (out string) {
	p.Helper()
	if target, ok := strings.CutPrefix(text, "make "); ok {
		text = "make -C " + p.root + " -n " + target
	}
	cmd := exec.CommandContext(p.Context(), "bash", "-o", "pipefail", "-c", "exec 2>&1; "+p.replaced(text))
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(p.dir, "bin")+":"+os.Getenv("PATH"), "NO_COLOR=1")
	if endless.MatchString(text) {
		return p.start(text, cmd)
	}
	got, err := cmd.Output()
	if err != nil {
		p.Fatalf("$ %s\n%s\n%v, want status 0", text, got, err)
	}
	return string(got)
}

// start starts a command that does not end, and waits until it is ready, or for --watch until it has printed something.
func (p *docPage) start(text string, cmd *exec.Cmd) string {
	p.Helper()
	ctx, stop := context.WithCancel(p.Context())
	cmd = stoppable(ctx, cmd)
	written, err := os.Create(filepath.Join(p.dir, fmt.Sprintf("log-%d", time.Now().UnixNano())))
	if err != nil {
		p.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = written, written
	if err := cmd.Start(); err != nil {
		p.Fatalf("$ %s: %v", text, err)
	}
	p.Cleanup(func() {
		stop()
		_ = cmd.Wait()
		_ = written.Close()
	})
	output := func() string {
		got, err := os.ReadFile(written.Name())
		if err != nil {
			p.Fatal(err)
		}
		return string(got)
	}
	eventuallyIn(p.T, time.Minute, func() error {
		switch {
		case strings.Contains(text, "envoy -c"):
			return p.isReady("http://127.0.0.1:"+p.ports["9901"]+"/ready", output)
		case strings.Contains(text, "weir bridge"):
			return p.isReady("http://127.0.0.1:"+p.ports["7379"]+"/health", output)
		case output() == "":
			return fmt.Errorf("$ %s: no output", text)
		default:
			return nil
		}
	})
	if strings.Contains(text, "envoy -c") {
		p.logs = output
	}
	if strings.Contains(text, "--watch") {
		stop()
	}
	return output()
}

func (p *docPage) isReady(url string, output func() string) error {
	r, err := http.NewRequestWithContext(p.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if a := send(http.DefaultClient, r); a.err != nil || a.status != http.StatusOK {
		return fmt.Errorf("%s: %+v; %s", url, a, output())
	}
	return nil
}

// stoppable is a command whose whole process group ends with the context.
func stoppable(ctx context.Context, of *exec.Cmd) *exec.Cmd {
	cmd := exec.CommandContext(ctx, of.Path, of.Args[1:]...)
	cmd.Dir, cmd.Env = of.Dir, of.Env
	endWithGroup(cmd)
	return cmd
}
