package demo

import (
	"fmt"
	"io"
	"strings"
)

// account prints what happens, for a person to follow.
type account struct {
	out   io.Writer
	color bool
	steps int
}

// Colours by their ANSI codes.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (a *account) paint(code, text string) string {
	if !a.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (a *account) printf(format string, args ...any) {
	fmt.Fprintf(a.out, format, args...)
}

// step begins a numbered step.
func (a *account) step(title string) {
	a.steps++
	a.printf("\n%s\n", a.paint(bold, fmt.Sprintf("%d. %s", a.steps, title)))
}

// say is a line that tells what is being done.
func (a *account) say(format string, args ...any) {
	a.printf("   %s\n", fmt.Sprintf(format, args...))
}

// shown are the headers that the account shows, in this order, where an answer has them.
var shown = []string{"Retry-After", "X-Weir-Source", "X-Weir-Reason", "X-Weir-Fallback-Used", "Age", "Cache-Status", "Warning", "X-Envoy-Ratelimited", "Ratelimit-Policy", "Ratelimit"}

// answer shows an answer as it came: status line, headers of interest, body.
func (a *account) answer(got answer) {
	a.printf("   > GET %s\n", got.path)
	a.printf("   < %s\n", a.paint(cyan, got.proto+" "+got.status))
	for _, name := range shown {
		for _, value := range got.header.Values(name) {
			a.printf("   < %s\n", a.paint(cyan, strings.ToLower(name)+": "+value))
		}
	}
	a.printf("   < %s\n", a.paint(dim, got.body))
}

// check prints what was to be seen, and is an error if it was not.
func (a *account) check(seen bool, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if !seen {
		a.printf("   %s %s\n", a.paint(red, "✗"), text)
		return fmt.Errorf("step %d: not seen: %s", a.steps, text)
	}
	a.printf("   %s %s\n", a.paint(green, "✓"), text)
	return nil
}
