package policy

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/jsontext"
)

// readJSON reads JSON text (RFC 8259) into a value. A key that is written twice in one object is a mistake; the first
// one counts. The error is for text that can't be read at all.
func (d *decoder) readJSON(raw []byte) (value, error) {
	if err := jsontext.Check(raw); err != nil {
		line, column := position(raw, err.Offset)
		return value{}, errors.New("not JSON: " + err.Text + " at line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column))
	}
	return d.jsonValue(jsontext.NewReader(raw), 0)
}

func (d *decoder) jsonValue(r *jsontext.Reader, depth int) (value, error) {
	v := r.Value()
	if v.Kind >= jsontext.List && depth == maxDepth {
		return value{}, errTooDeep(&d.at)
	}
	switch v.Kind {
	case jsontext.True, jsontext.False:
		return value{kind: boolean, truth: v.Kind == jsontext.True}, nil
	case jsontext.String:
		return value{kind: text, text: v.Text}, nil
	case jsontext.Number:
		n, _ := decimal.Parse(v.Text) // it has the form of a number; one beyond the range is infinite
		return value{kind: number, number: n, text: v.Text}, nil
	case jsontext.List:
		return d.jsonList(r, depth+1)
	case jsontext.Object:
		return d.jsonObject(r, depth+1)
	default:
		return value{}, nil
	}
}

func (d *decoder) jsonList(r *jsontext.Reader, depth int) (value, error) {
	v := value{kind: list}
	for r.More() {
		d.at.enterItem(len(v.items))
		item, err := d.jsonValue(r, depth)
		if err != nil {
			return value{}, err
		}
		d.at.leave()
		v.items = append(v.items, item)
	}
	return v, nil
}

func (d *decoder) jsonObject(r *jsontext.Reader, depth int) (value, error) {
	clusters := d.beginClusters()
	v := value{kind: object}
	var seen nameSet
	for r.More() {
		name := r.Name()
		d.at.enter(name)
		inner, err := d.jsonValue(r, depth)
		if err != nil {
			return value{}, err
		}
		if !seen.add(name, v.members) {
			d.mistake(d.at.String(), errWrittenTwice)
		} else {
			if clusters {
				inner = d.cluster(name, inner)
			}
			v.members = append(v.members, member{name, inner})
		}
		d.at.leave()
	}
	return v, nil
}

// position returns the line and column, both from 1, of the n-th byte.
func position(raw []byte, n int) (line, column int) {
	n = max(min(n, len(raw)), 1)
	before := raw[:n-1]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}
