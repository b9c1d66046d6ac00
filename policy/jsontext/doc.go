// Package jsontext reads and writes JSON text (RFC 8259) without reflection: encoding/json was a sixth of the Wasm module, which each
// Envoy compiles when it starts. It accepts, refuses and says what encoding/json does; the tests compare them.
//
//	if err := jsontext.Check(text); err != nil { … }
//	r := jsontext.NewReader(text)
//	switch v := r.Value(); v.Kind {
//	case jsontext.Object:
//	    for r.More() { name := r.Name(); … r.Value() … }
//	…
package jsontext
