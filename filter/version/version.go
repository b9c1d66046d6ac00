// Package version has the version of this source tree, the one place where it is written. The filter and the weir
// command are built from it. It imports nothing, since it is compiled into the Wasm module.
package version

// Version is a semantic version (https://semver.org). A release has no suffix.
const Version = "0.2.0-dev"
