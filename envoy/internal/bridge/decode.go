package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"unicode/utf8"
)

// errTooMany says that a pipeline has more commands than MaxCommands.
var errTooMany = errors.New("too many commands")

// decodeCommand reads `["COMMAND", "argument", …]`: strings, and numbers, which are passed on as they are written, so
// 13 and 1e2 reach Redis as these characters.
func decodeCommand(body []byte) (command []any, err error) {
	err = decodeBody(body, func(d *json.Decoder) error {
		command, err = readCommand(d)
		return err
	})
	return command, err
}

// decodePipeline reads an array of at most limit commands. The error is errTooMany when there are more; the rest of the
// body is not decoded then, so that it takes no memory.
func decodePipeline(body []byte, limit int) (commands [][]any, err error) {
	err = decodeBody(body, func(d *json.Decoder) error {
		if token, err := d.Token(); err != nil {
			return err
		} else if token != json.Delim('[') {
			return errors.New("want an array of commands")
		}
		for d.More() {
			if len(commands) == limit {
				return errTooMany
			}
			command, err := readCommand(d)
			if err != nil {
				return err
			}
			commands = append(commands, command)
		}
		_, err := d.Token() // the closing bracket
		return err
	})
	if err == nil && len(commands) == 0 {
		err = errors.New("an empty pipeline: send at least one command")
	}
	return commands, err
}

// decodeBody reads one JSON value that is the whole body.
func decodeBody(body []byte, read func(*json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err := read(d)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("want nothing after the array")
		} else {
			err = checkText(body)
		}
	}
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil || errors.Is(err, errTooMany):
		return err
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case errors.As(err, &wrongType):
		err = fmt.Errorf("got %s, want an array that is a command", wrongType.Value)
	}
	return fmt.Errorf("malformed JSON: %w", err)
}

// readCommand reads the next value, with its numbers as text, which go-redis sends as it is.
func readCommand(d *json.Decoder) ([]any, error) {
	var command []any
	if err := d.Decode(&command); err != nil {
		return nil, err
	}
	if len(command) == 0 {
		return nil, errors.New("an empty command: send at least its name")
	}
	for i, element := range command {
		switch v := element.(type) {
		case string:
		case json.Number:
			command[i] = v.String()
		default:
			return nil, fmt.Errorf("want a string or a number as element %d of a command", i+1)
		}
	}
	return command, nil
}

// pairedSurrogates matches JSON whose escapes \uD800 to \uDFFF are all pairs of a high and a low one, which are one
// character together.
var pairedSurrogates = regexp.MustCompile(`^([^\\]|\\[^u]|\\u([^dD]|[dD][0-7])|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)*$`)

// checkText refuses what encoding/json replaces with U+FFFD, bytes that are not UTF-8 and half a surrogate pair: Redis
// would get another key than the caller named.
func checkText(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("not UTF-8")
	}
	if bytes.Contains(body, []byte(`\u`)) && !pairedSurrogates.Match(body) {
		return errors.New("half a surrogate pair in a string")
	}
	return nil
}
