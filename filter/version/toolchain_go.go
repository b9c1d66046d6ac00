//go:build !tinygo

package version

const toolchain = "go"
