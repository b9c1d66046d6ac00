package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weir-mesh/weir/e2e/repo"
)

const (
	// ownerLabel marks our containers with the machine and the process that started them.
	ownerLabel = "weir-e2e-owner"
	inImage    = "/usr/local/bin/envoy" // also in the official image
)

// docker runs each Envoy in a container of its own, on the host's network and with the host's paths.
type docker struct {
	version, image, root string
	host                 string // this machine's name, for the label
}

func newDocker() (engine, error) {
	version, err := dockerVersion()
	if err != nil {
		return nil, err
	}
	root, err := repo.Root()
	if err != nil {
		return nil, err
	}
	image, err := findImage(root)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	d := docker{version: version, image: image, root: root, host: host}
	return d, d.sweep()
}

// dockerVersion is the version of the engine, not of the client, so it fails where no engine answers.
func dockerVersion() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Output()
	if err != nil {
		return "", fmt.Errorf("no Docker engine answers `docker version`, start one or set E2E_ENGINE=binary: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (d docker) String() string { return fmt.Sprintf("docker %s, image %s", d.version, d.image) }

func (d docker) command(name, dir string, env, args []string) *exec.Cmd {
	// In the foreground: the client hands on Envoy's output and its exit status, and hands SIGTERM to it.
	argv := []string{
		"run", "--rm", "--name", name, "--network", "host",
		"--label", fmt.Sprintf("%s=%s/%d", ownerLabel, d.host, os.Getpid()),
		// What Envoy writes belongs to us, so that it can be removed.
		"--user", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
		"--volume", d.root + ":" + d.root + ":ro", "--volume", dir + ":" + dir, "--workdir", d.root,
		"--entrypoint", inImage,
	}
	for _, pair := range env {
		argv = append(argv, "--env", pair)
	}
	return exec.Command("docker", append(append(argv, d.image), args...)...)
}

func (d docker) kill(name string, _ int) error {
	_, err := output("docker", "kill", "--signal", "KILL", name)
	return err
}

func (d docker) terminate(name string, _ int) error {
	_, err := output("docker", "kill", "--signal", "TERM", name)
	return err
}

// remove fails as a rule, since --rm was quicker.
func (d docker) remove(name string) { _, _ = output("docker", "rm", "--force", name) }

// sweep removes containers whose owner no longer runs: a test process that was killed could not do it.
func (d docker) sweep() error {
	list, err := output("docker", "ps", "--all", "--filter", "label="+ownerLabel, "--format", "{{.Names}} {{.Label \""+ownerLabel+"\"}}")
	if err != nil {
		return err
	}
	for line := range strings.Lines(list) {
		name, owner, _ := strings.Cut(strings.TrimSpace(line), " ")
		host, pidText, _ := strings.Cut(owner, "/")
		pid, err := strconv.Atoi(pidText)
		if err == nil && host == d.host && !alive(pid) {
			d.remove(name)
		}
	}
	return nil
}

func alive(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }
