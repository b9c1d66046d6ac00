// Package version has the version of this source tree, the one place where it is written. The filter and the weir
// command are built from it. It imports nothing, since it is compiled into the Wasm module.
package version

// Version is a semantic version (https://semver.org). A release has no suffix.
const Version = "0.2.0-dev"

// Module is what a Wasm module says of itself in its first log line, the status, the page and weir_build_info: the version,
// with the toolchain that made it as build metadata: "0.2.0+tinygo" or "0.2.0+go".
const Module = Version + "+" + toolchain
