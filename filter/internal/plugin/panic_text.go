//go:build !tinygo

package plugin

import "fmt"

// panicText is what a panic that was recovered says.
func panicText(r any) string { return fmt.Sprint(r) }
