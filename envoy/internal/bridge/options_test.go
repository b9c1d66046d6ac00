package bridge

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		o    Options
		want string // "": no mistake
	}{
		"embedded":                  {Options{Embedded: true}, ""},
		"a Redis":                   {Options{Redis: "redis://h"}, ""},
		"neither":                   {Options{}, "no Redis: give its URL"},
		"both":                      {Options{Embedded: true, Redis: "redis://h"}, "exclude each other"},
		"loopback by name":          {Options{Embedded: true, Listen: "localhost:1"}, ""},
		"IPv6 loopback":             {Options{Embedded: true, Listen: "[::1]:1"}, ""},
		"all addresses":             {Options{Embedded: true, Listen: ":7379"}, "the bridge has no token"},
		"another address":           {Options{Embedded: true, Listen: "10.0.0.1:7379"}, "the bridge has no token"},
		"another name":              {Options{Embedded: true, Listen: "localhost.example:7379"}, "the bridge has no token"},
		"all addresses, token":      {Options{Embedded: true, Listen: ":7379", Token: "t"}, ""},
		"all addresses, on purpose": {Options{Embedded: true, Listen: ":7379", Insecure: true}, ""},
		"no port":                   {Options{Embedded: true, Listen: "127.0.0.1"}, "want HOST:PORT"},
		"no such port":              {Options{Embedded: true, Listen: "127.0.0.1:99999"}, "port must be"},
		"token of two lines":        {Options{Embedded: true, Token: "a\nb"}, "token: "},
		"negative":                  {Options{Embedded: true, MaxBody: -1, Timeout: -1}, "max-body: must not"},
		"several words":             {Options{Embedded: true, Allow: []string{"script load now"}}, "is not a command"},
		"everything":                {Options{Embedded: true, Allow: []string{"*"}}, "is not a command"},
		"a connection of its own":   {Options{Embedded: true, Allow: []string{"blpop"}}, "BLPOP cannot be allowed: it needs a connection of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.o.Check()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q (\"\": no error)", err, test.want)
			}
		})
	}
}

func TestAllows(t *testing.T) {
	set, err := newCommandSet(append(DefaultCommands(), "get", "script load", "CONFIG|GET"))
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]bool{
		"EVALSHA": true, "evalsha x": true, "GET k": true, "Script Load x": true, "CONFIG get x": true, "CONFIG set x": false, "SCRIPT": false, "SCRIPT FLUSH": false,
		"SET k": false, "FLUSHALL": false, "EVAL_RO": false,
	} {
		var arguments []any
		for word := range strings.FieldsSeq(line) {
			arguments = append(arguments, word)
		}
		if got := set.allows(arguments); got != want {
			t.Errorf("allows(%s) = %v, want %v", line, got, want)
		}
	}
}
