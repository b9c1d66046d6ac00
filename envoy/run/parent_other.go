//go:build !linux

package run

import "os/exec"

// dieWithParent does nothing where the kernel has no such signal: a killed parent leaves its Envoy behind.
func dieWithParent(*exec.Cmd) {}
