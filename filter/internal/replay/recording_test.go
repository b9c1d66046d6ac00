package replay

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

// get is a GET's headers with more.
func get(more ...string) pairs.Packed { return request("GET", more...) }

func request(method string, more ...string) pairs.Packed {
	return pairs.Pack(append([][2]string{
		{":method", method},
		{":path", "/x?y=1"},
		{":authority", "a.example"},
		{":scheme", "https"},
	}, each(more...)...))
}

// each makes pairs of names and values in turn.
func each(texts ...string) (all [][2]string) {
	for i := 0; i+1 < len(texts); i += 2 {
		all = append(all, [2]string{texts[i], texts[i+1]})
	}
	return all
}

// lines is a list of headers as text, without those that each request has.
func lines(headers [][2]string) string {
	var text []string
	for _, h := range headers {
		text = append(text, h[0]+": "+h[1])
	}
	return strings.TrimPrefix(strings.Join(text, " | "), ":method: GET | :path: /x?y=1 | :authority: a.example | :scheme: https")
}

func TestWhatIsRecorded(t *testing.T) {
	const most = 10
	tests := []struct {
		name     string
		headers  pairs.Packed
		pieces   []string // of the body; none: the headers end it
		unending bool     // the last piece does not end it
		trailers bool
		want     string // the body, or the reason in brackets
	}{
		{name: "no body", headers: get(), want: ""},
		{name: "a body", headers: request("PUT"), pieces: []string{"hello"}, want: "hello"},
		{name: "in pieces", headers: request("PUT"), pieces: []string{"hel", "", "lo", ""}, want: "hello"},
		{name: "an empty one", headers: request("PUT"), pieces: []string{""}, want: ""},
		{name: "as long as may be", headers: request("PUT"), pieces: []string{"12345", "67890"}, want: "1234567890"},
		{name: "longer", headers: request("PUT"), pieces: []string{"12345", "678901"}, want: "[its body is too long]"},
		{
			name: "longer, with more pieces", headers: request("PUT"), pieces: []string{"12345678901", "1", "2"},
			want: "[its body is too long]",
		},
		{
			name: "declared longer", headers: request("PUT", "content-length", "11"), pieces: []string{"1"}, unending: true,
			want: "[its body is too long]",
		},
		{
			name: "declared as long as may be", headers: request("PUT", "content-length", "10"), pieces: []string{"1234567890"},
			want: "1234567890",
		},
		{name: "a negative length", headers: request("PUT", "content-length", "-5"), pieces: []string{"12"}, want: "12"},
		{name: "unfinished", headers: request("PUT"), pieces: []string{"he"}, unending: true, want: "[its body has not ended]"},
		{name: "trailers", headers: request("PUT"), pieces: []string{"he"}, unending: true, trailers: true, want: "[it has trailers]"},
		{
			name: "trailers after too long a body", headers: request("PUT"), pieces: []string{"12345678901"}, trailers: true,
			want: "[its body is too long]",
		},
		{name: "CONNECT", headers: request("CONNECT"), want: "[CONNECT]"},
		{name: "WebSocket over HTTP/2", headers: request("GET", ":protocol", "websocket"), want: "[CONNECT]"},
		{name: "upgrade", headers: get("upgrade", "websocket"), want: "[an upgrade]"},
		{name: "gRPC", headers: request("POST", "content-type", "application/grpc"), want: "[gRPC]"},
		{name: "gRPC of a kind", headers: request("POST", "content-type", "application/grpc+proto"), want: "[gRPC]"},
		{name: "gRPC for browsers", headers: request("POST", "content-type", "application/grpc-web"), pieces: []string{"x"}, want: "x"},
		{name: "events", headers: get("accept", "text/event-stream"), want: "[a stream of events]"},
		{name: "events among others", headers: get("accept", "application/json, Text/Event-Stream;q=0.5"), want: "[a stream of events]"},
		{name: "events in a line of its own", headers: get("accept", "text/html", "accept", "text/event-stream"), want: "[a stream of events]"},
		{name: "another type of text", headers: get("accept", "text/events, */*"), want: ""},
		{name: "anything", headers: get("accept", "*/*"), want: ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			from := NewRecorder()
			var r Recording
			r.Begin(from, test.headers, test.pieces == nil, most)
			for i, piece := range test.pieces {
				b := []byte(piece)
				r.Body(b, i == len(test.pieces)-1 && !test.unending)
				clear(b) // it was the host's
			}
			if test.trailers {
				r.Trailers()
			}
			got := "[" + r.Reason().String() + "]"
			if r.Whole() {
				headers, body := r.Request()
				if got = string(body); len(headers) < 4 {
					t.Errorf("got headers %v, want 4 or more", headers)
				}
				if r.Reason() != None {
					t.Errorf("Reason() of a whole recording = %v, want None", r.Reason())
				}
			} else if headers, body := r.Request(); headers != nil || body != nil {
				t.Errorf("Request() of a recording that is not whole = %v, %q, want nil, nil", headers, body)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			r.Drop()
			r.Drop()
			if from.Bytes() != 0 || r.Whole() || r.Wants() {
				t.Errorf("after Drop: got %d bytes, whole %v, wants %v; want 0, false, false", from.Bytes(), r.Whole(), r.Wants())
			}
		})
	}
}

// TestRecordingsAreBounded: a request for which there is no room is not recorded, and Drop makes room again.
func TestRecordingsAreBounded(t *testing.T) {
	from := NewRecorder()
	all := make([]Recording, 4*maxRecorded/minBuffer)
	body := make([]byte, 30<<10)
	recorded := 0
	for i := range all {
		all[i].Begin(from, request("PUT"), false, 1<<20)
		all[i].Body(body, true)
		if all[i].Whole() {
			recorded++
		} else if all[i].Reason() != RecorderFull {
			t.Fatalf("recording %d: got reason %v, want %v", i, all[i].Reason(), RecorderFull)
		}
		if from.Bytes() > maxRecorded {
			t.Fatalf("got %d bytes recorded, want at most %d", from.Bytes(), maxRecorded)
		}
	}
	if want := maxRecorded / (32 << 10); recorded < want-1 || recorded > want {
		t.Errorf("got %d recordings, want %d or one less", recorded, want)
	}
	for i := range all {
		all[i].Drop()
	}
	if from.Bytes() != 0 {
		t.Errorf("after all are dropped: got %d bytes in use, want 0", from.Bytes())
	}
	all[0].Begin(from, request("PUT"), false, 1<<20)
	if all[0].Body(body, true); !all[0].Whole() {
		t.Errorf("a recording after all were dropped: got reason %v, want None", all[0].Reason())
	}
}

// TestRecordingsAreApart: a reused buffer has no bytes of an earlier request.
func TestRecordingsAreApart(t *testing.T) {
	from := NewRecorder()
	running := map[int]*Recording{}
	for i := range 500 {
		if old := running[i-7]; old != nil {
			headers, body := old.Request()
			want := strings.Repeat(fmt.Sprint(i-7), 100*(i-7))
			if got := headers[len(headers)-1][1]; got != fmt.Sprint(i-7) || string(body) != want {
				t.Fatalf("request %d: got x-number %q and %d bytes, want its own %d", i-7, got, len(body), len(want))
			}
			old.Drop()
			delete(running, i-7)
		}
		r := &Recording{}
		r.Begin(from, request("PUT", "x-number", fmt.Sprint(i)), false, 1<<20)
		for piece := range bytes.Lines(bytes.Repeat([]byte(fmt.Sprint(i)), 100*i)) {
			r.Body(piece, false)
		}
		r.Body(nil, true)
		running[i] = r
	}
}

// TestOrdinaryRequestAllocatesNothing checks the cost of a request that does not fail.
func TestOrdinaryRequestAllocatesNothing(t *testing.T) {
	from := NewRecorder()
	var r Recording
	head, put, body := get("user-agent", "x", "accept", "*/*"), request("PUT", "content-length", "5000"), make([]byte, 5000)
	for name, run := range map[string]func(){
		"GET":              func() { r.Begin(from, head, true, 65536); r.Drop() },
		"PUT":              func() { r.Begin(from, put, false, 65536); r.Body(body, true); r.Drop() },
		"PUT, sent again":  func() { r.Begin(from, put, false, 65536); r.Body(body, true); r.Request(); r.Drop() },
		"PUT, no length":   func() { r.Begin(from, head, false, 65536); r.Body(body, true); r.Drop() },
		"PUT, much longer": func() { r.Begin(from, head, false, 1000); r.Body(body, true); r.Drop() },
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkRecordGET(b *testing.B) {
	from := NewRecorder()
	var r Recording
	head := get("user-agent", "Mozilla/5.0 (X11; Linux x86_64)", "accept", "*/*", "accept-encoding", "gzip, br", "accept-language", "en",
		"cookie", strings.Repeat("c", 200), "x-forwarded-for", "192.0.2.1", "x-forwarded-proto", "https", "x-request-id", "5b28b7a7-aff2-4375-8bb2-5de32ae0dd28")
	for b.Loop() {
		r.Begin(from, head, true, 65536)
		r.Drop()
	}
}
