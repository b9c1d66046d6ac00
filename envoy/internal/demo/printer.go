package demo

import (
	"fmt"
	"io"
	"strings"
)

// printer prints what the demo does and what it checks.
type printer struct {
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

func (a *printer) paint(code, text string) string {
	if !a.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (a *printer) printf(format string, args ...any) {
	fmt.Fprintf(a.out, format, args...)
}

// step prints the heading of the next step.
func (a *printer) step(title string) {
	a.steps++
	a.printf("\n%s\n", a.paint(bold, fmt.Sprintf("%d. %s", a.steps, title)))
}

// note prints a line about what the demo does.
func (a *printer) note(format string, args ...any) {
	a.printf("   %s\n", fmt.Sprintf(format, args...))
}

// shownHeaders are the response headers to print, in this order.
var shownHeaders = []string{"Retry-After", "X-Weir-Source", "X-Weir-Reason", "X-Weir-Fallback-Used", "Age", "Cache-Status", "Warning", "X-Envoy-Ratelimited", "Ratelimit-Policy", "Ratelimit"}

// answer prints a response: status line, shownHeaders, body.
func (a *printer) answer(got answer) {
	a.printf("   > GET %s\n", got.path)
	a.printf("   < %s\n", a.paint(cyan, got.proto+" "+got.status))
	for _, name := range shownHeaders {
		for _, value := range got.header.Values(name) {
			a.printf("   < %s\n", a.paint(cyan, strings.ToLower(name)+": "+value))
		}
	}
	a.printf("   < %s\n", a.paint(dim, got.body))
}

// check prints an expectation and whether it was met. It returns an error if it was not.
func (a *printer) check(ok bool, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if !ok {
		a.printf("   %s %s\n", a.paint(red, "✗"), text)
		return fmt.Errorf("step %d: check failed: %s", a.steps, text)
	}
	a.printf("   %s %s\n", a.paint(green, "✓"), text)
	return nil
}
