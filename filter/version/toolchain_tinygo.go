//go:build tinygo

package version

const toolchain = "tinygo"
