package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// readJSON reads JSON text (RFC 8259) into a value. A key that is written twice in one object is a mistake; the first
// one counts. The error is for text that can't be read at all.
func (d *decoder) readJSON(raw []byte) (value, error) {
	// One pass over the whole text finds every syntax error and its position; the tokens that follow can't fail.
	var whole unread
	if err := json.Unmarshal(raw, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line, column := position(raw, int(syntax.Offset))
			return value{}, fmt.Errorf("not JSON: %w at line %d, column %d", err, line, column)
		}
		return value{}, fmt.Errorf("not JSON: %w", err)
	}
	tokens := json.NewDecoder(bytes.NewReader(raw))
	tokens.UseNumber()
	return d.jsonValue(tokens, 0)
}

// unread is a JSON text that is checked and not kept.
type unread struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (unread) UnmarshalJSON([]byte) error { return nil }

func (d *decoder) jsonValue(tokens *json.Decoder, depth int) (value, error) {
	token, err := tokens.Token()
	if err != nil {
		return value{}, fmt.Errorf("not JSON: %w", err)
	}
	switch t := token.(type) {
	case bool:
		return value{kind: boolean, truth: t}, nil
	case string:
		return value{kind: text, text: t}, nil
	case json.Number:
		n, err := strconv.ParseFloat(t.String(), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return value{}, fmt.Errorf("not JSON: %w", err)
		}
		return value{kind: number, number: n, text: t.String()}, nil
	case json.Delim:
		if depth == maxDepth {
			return value{}, errTooDeep(&d.at)
		}
		if t == '[' {
			return d.jsonList(tokens, depth+1)
		}
		return d.jsonObject(tokens, depth+1)
	default:
		return value{}, nil
	}
}

func (d *decoder) jsonList(tokens *json.Decoder, depth int) (value, error) {
	v := value{kind: list}
	for tokens.More() {
		d.at.enterItem(len(v.items))
		item, err := d.jsonValue(tokens, depth)
		if err != nil {
			return value{}, err
		}
		d.at.leave()
		v.items = append(v.items, item)
	}
	_, err := tokens.Token() // the closing bracket
	return v, err
}

func (d *decoder) jsonObject(tokens *json.Decoder, depth int) (value, error) {
	v := value{kind: object}
	seen := map[string]bool{}
	for tokens.More() {
		token, err := tokens.Token()
		if err != nil {
			return value{}, err
		}
		name, _ := token.(string) // JSON has no other keys
		d.at.enter(name)
		inner, err := d.jsonValue(tokens, depth)
		if err != nil {
			return value{}, err
		}
		twice := seen[name]
		if twice {
			d.mistake(d.at.String(), errWrittenTwice)
		}
		d.at.leave()
		if twice {
			continue
		}
		seen[name] = true
		v.members = append(v.members, member{name, inner})
	}
	_, err := tokens.Token() // the closing brace
	return v, err
}

// position returns the line and column, both from 1, of the n-th byte.
func position(raw []byte, n int) (line, column int) {
	n = max(min(n, len(raw)), 1)
	before := raw[:n-1]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}
