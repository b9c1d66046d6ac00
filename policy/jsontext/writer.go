package jsontext

import (
	"math"
	"strconv"

	"github.com/weir-mesh/weir/policy/decimal"
)

// Writer appends values, and the commas between them. Its zero value is an empty text.
//
//	w.Open('{'); w.Name("state"); w.String("open"); w.Close('}')
type Writer struct{ Text []byte }

// separate puts a comma where a value or a member precedes.
func (w *Writer) separate() {
	if n := len(w.Text); n > 0 {
		if last := w.Text[n-1]; last != '{' && last != '[' && last != ':' {
			w.Text = append(w.Text, ',')
		}
	}
}

// Open begins an object or a list, by its mark { or [.
func (w *Writer) Open(mark byte) {
	w.separate()
	w.Text = append(w.Text, mark)
}

// Close ends an object or a list, by its mark } or ].
func (w *Writer) Close(mark byte) { w.Text = append(w.Text, mark) }

// Name begins a member of an object; its value follows.
func (w *Writer) Name(name string) {
	w.String(name)
	w.Text = append(w.Text, ':')
}

// String appends a string. Unlike AppendString it escapes <, > and &, so that the text may stand in an HTML page.
func (w *Writer) String(s string) {
	w.separate()
	w.Text = appendString(w.Text, s, true)
}

// Bool appends true or false.
func (w *Writer) Bool(b bool) {
	w.separate()
	w.Text = strconv.AppendBool(w.Text, b)
}

// Null appends null.
func (w *Writer) Null() {
	w.separate()
	w.Text = append(w.Text, "null"...)
}

// Number appends a finite number, as encoding/json writes it: what JSON lacks becomes null.
func (w *Writer) Number(n float64) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		w.Null()
		return
	}
	w.separate()
	w.Text = decimal.Append(w.Text, n)
}

// Strings appends a list of strings.
func (w *Writer) Strings(all []string) {
	w.Open('[')
	for _, s := range all {
		w.String(s)
	}
	w.Close(']')
}
