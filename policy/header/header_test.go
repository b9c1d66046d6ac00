package header

import "testing"

type list []Pair

func (l list) All(yield func(name, value string) bool) {
	for _, h := range l {
		if !yield(h[0], h[1]) {
			return
		}
	}
}

func TestFirst(t *testing.T) {
	headers := list{{":method", "GET"}, {"a", "1"}, {"a", "2"}}
	for name, want := range map[string]string{":method": "GET", "a": "1", "b": ""} {
		if got := First(headers, name); got != want {
			t.Errorf("First(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestIsEvents(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "*/*": false, "text/html": false, "text/event-strea": false, "text/event-stream": true,
		"Text/Event-Stream; charset=utf-8": true, "application/json, text/event-stream": true, "a/b,text/event-stream;q=0.1": true,
	} {
		if got := IsEvents(value); got != want {
			t.Errorf("IsEvents(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestIsGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"":                               false,
		"application/grpc":               true,
		"application/grpc+proto":         true,
		"application/grpc;charset=utf-8": true,
		"application/grpc-web":           false,
		"application/grpc-web+proto":     false,
		"application/grpcx":              false,
		"application/json":               false,
	} {
		if got := IsGRPC(contentType); got != want {
			t.Errorf("IsGRPC(%q) = %v, want %v", contentType, got, want)
		}
	}
}
