package adminapi

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/jsontext"
)

// TestWrite fills statuses at random, by the fields that there are: what Write leaves out or names wrongly differs from what
// encoding/json makes of the tags.
func TestWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Status
		fill(t, reflect.ValueOf(&s).Elem())
		compareWritten(t, s, s.Write)
		var c Cluster
		fill(t, reflect.ValueOf(&c).Elem())
		compareWritten(t, c, c.Write)
	})
	compareWritten(t, Status{}, (&Status{}).Write)
	compareWritten(t, Cluster{}, (&Cluster{}).Write)
}

type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func compareWritten(t tester, value any, write func(*jsontext.Writer)) {
	t.Helper()
	want, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("json.Marshal(%+v): got error %v, want none", value, err)
	}
	w := jsontext.Writer{}
	if write(&w); string(w.Text) != string(want) {
		t.Fatalf("Write of %T:\n got %s\nwant %s", value, w.Text, want)
	}
}

// fill sets all fields below v, each pointer, slice and map in half of the cases.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 3).Draw(t, "length"), 3))
			for i := range v.Len() {
				fill(t, v.Index(i))
			}
		}
	case reflect.Map:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.MakeMap(v.Type()))
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(t, key)
				fill(t, value)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.String:
		v.SetString(rapid.StringMatching(`[a-c"\\<é\x00-\x1f]{0,4}`).Draw(t, "text"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(-1e22, 1e22).Draw(t, "number"))
	case reflect.Int64: // a Time
		v.SetInt(rapid.Int64Range(0, 253_402_300_799_999).Draw(t, "time"))
	case reflect.Uint32:
		v.SetUint(uint64(rapid.Uint32().Draw(t, "number")))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "truth"))
	default:
		t.Fatalf("fill: a field of kind %s, which this test does not know", v.Kind())
	}
}
