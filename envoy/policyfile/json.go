package policyfile

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Paired is a file in which JSON's pairs of escapes, "\ud83d\ude00" for one character beyond the first 65,536, are that character:
// YAML has no such pairs. A file that is not JSON stays as it is.
func Paired(raw []byte) []byte {
	if !bytes.Contains(raw, []byte(`\u`)) || !json.Valid(raw) {
		return raw
	}
	paired := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if r := utf16.DecodeRune(escaped(raw[i:]), escaped(raw[min(i+6, len(raw)):])); r != utf8.RuneError {
			paired = utf8.AppendRune(paired, r)
			i += 12
			continue
		}
		n := 1
		if raw[i] == '\\' { // the next one is escaped, as the u of \\ud83d is not
			n = 2
		}
		paired = append(paired, raw[i:i+n]...)
		i += n
	}
	return paired
}

// escaped is what an escape at the beginning of a text stands for, -1 where there is none.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
