//go:build !linux

package run

import "os/exec"

// dieWithParent does nothing, since the kernel has no such signal: the Envoy of a killed parent keeps running.
func dieWithParent(*exec.Cmd) {}
