package host

import (
	"strconv"
	"unicode/utf8"
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

// oneLine escapes what is not printable, as Go's string literals do: a line break becomes \n, ESC \x1b, a byte that is
// not UTF-8 \xff. A backslash stays as it is, so that the texts of operators read as they were written.
func oneLine(text string) string {
	for i, r := range text {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			return escaped(text, i)
		}
	}
	return text
}

// escaped is text whose first character that is not printable is at byte i.
func escaped(text string, i int) string {
	b := append(make([]byte, 0, len(text)+16), text[:i]...)
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if part := text[i : i+size]; strconv.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b = append(b, part...)
		} else {
			quoted := strconv.Quote(part)
			b = append(b, quoted[1:len(quoted)-1]...)
		}
		i += size
	}
	return string(b)
}
