package host

import (
	"unicode/utf8"

	"github.com/weir-mesh/weir/policy/visible"
)

// Texts of others get into log lines: errors of Redis, names of clusters. So each is logged as one line in which nothing
// can steer a terminal, whatever it holds.

// The levels of proxy_log (proxy_log_level_t).
const (
	levelDebug = 1
	levelInfo  = 2
	levelWarn  = 3
	levelError = 4
)

// Debug logs at debug. The text is made in vain unless Debugging.
func Debug(text string) { logLine(levelDebug, oneLine(text)) }

// Info logs at info.
func Info(text string) { logLine(levelInfo, oneLine(text)) }

// Warn logs at warning.
func Warn(text string) { logLine(levelWarn, oneLine(text)) }

// Error logs at error.
func Error(text string) { logLine(levelError, oneLine(text)) }

// oneLine escapes what is not visible, as Go's string literals do: a line break becomes \n, ESC \x1b, a byte that is
// not UTF-8 \xff. A backslash stays as it is, so that the texts of operators read as they were written.
func oneLine(text string) string {
	for _, r := range text {
		if !visible.Rune(r) || r == utf8.RuneError {
			return string(visible.Append(make([]byte, 0, len(text)+16), text, 0))
		}
	}
	return text
}
