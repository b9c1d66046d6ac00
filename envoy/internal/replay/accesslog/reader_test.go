package accesslog

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// text shows a line as the tables write it.
func text(l *Line) string {
	first := "-"
	if l.First >= 0 {
		first = l.First.String()
	}
	s := fmt.Sprintf("%s %v %s %d %s %s|%s %s %s %s|%s %s", l.Start.Format("15:04:05.000"), l.Duration, first, l.Status, l.Flags, l.Details,
		l.Cluster, l.Method, l.Path, l.Authority, l.Source, l.Route)
	if l.GRPC >= 0 {
		s += fmt.Sprintf(" grpc %d", l.GRPC)
	}
	for _, h := range l.Headers {
		if h == nil {
			h = []byte("-")
		}
		s += " " + string(h)
	}
	return s
}

func readAll(t *testing.T, in io.Reader, o Options) (lines []string) {
	t.Helper()
	r, err := NewReader(in, o)
	if err != nil {
		return []string{err.Error()}
	}
	for {
		l, err := r.Next()
		var mistake *LineError
		switch {
		case errors.Is(err, io.EOF):
			return lines
		case errors.As(err, &mistake):
			lines = append(lines, err.Error())
		case err != nil:
			return append(lines, "fails: "+err.Error())
		default:
			lines = append(lines, text(l))
		}
	}
}

const (
	envoyText = `[2026-11-28T10:00:00.123Z] "GET /a?b=1 HTTP/1.1" 200 - 0 58 12 9 "192.0.2.9, 192.0.2.1" "curl/8 (x, "y")" "f21e" "api.example.com" "10.0.0.1:80"`
	istioText = `[2026-11-28T10:00:00.123Z] "GET /a?b=1 HTTP/1.1" 503 UF upstream_reset_before_response_started{remote_connection_failure} - ` +
		`"delayed connect error: 111" 0 58 12 - "-" "curl/8" "f21e" "api" "10.0.0.1:80" outbound|80||api - 10.0.0.2:80 192.0.2.1:4000 - default`
	istioJSON = `{"start_time":"2026-11-28T10:00:00.123Z","method":"GET","path":"/a?b=1","protocol":"HTTP/1.1","response_code":200,` +
		`"response_flags":"-","response_code_details":"via_upstream","bytes_received":0,"duration":12,"upstream_service_time":"9",` +
		`"x_forwarded_for":null,"user_agent":"curl/8","request_id":"f21e","authority":"api","upstream_host":"10.0.0.1:80",` +
		`"upstream_cluster":"outbound|80||api","downstream_remote_address":"192.0.2.1:4000","route_name":"default","x":[1,{"y":[]}]}`
)

func TestReader(t *testing.T) {
	for _, test := range []struct {
		name, log string
		options   Options
		want      []string
	}{
		{
			name: "Envoy's default text", log: envoyText + "\n\n" + envoyText,
			want: []string{
				"10:00:00.123 12ms 9ms 200  | GET /a?b=1 api.example.com|192.0.2.1 ",
				"10:00:00.123 12ms 9ms 200  | GET /a?b=1 api.example.com|192.0.2.1 ",
			},
		},
		{
			name: "Istio's default text", log: istioText + "\r\n",
			want: []string{"10:00:00.123 12ms - 503 UF upstream_reset_before_response_started{remote_connection_failure}|" +
				"outbound|80||api GET /a?b=1 api|192.0.2.1:4000 default"},
		},
		{
			name: "Istio's default JSON", log: istioJSON,
			want: []string{"10:00:00.123 12ms 9ms 200  via_upstream|outbound|80||api GET /a?b=1 api|192.0.2.1:4000 default"},
		},
		{
			name: "Envoy Gateway's keys, escapes, and a header", options: Options{Headers: []string{"x-api-key", "cookie"}},
			log: `{"start_time":"2026-11-28T10:00:00Z","x-envoy-origin-path":"/\u00e9\"\ud83d\ude00","path":"/rewritten",":authority":"api","duration":"12",` +
				`"response_code":"204","x-api-key":"k\/1","grpc_status":"Unavailable","user-agent":null}`,
			want: []string{`10:00:00.000 12ms - 204  |  /é"😀 api|  grpc 14 k/1 -`},
		},
		{
			name: "keys of their own, in objects", options: Options{
				Fields:  map[string]string{"upstream_cluster": "backend", "start_time": "ts", "header:x-user": "req.user", "header:unread": "y"},
				Headers: []string{"x-user"},
			},
			log:  `{"ts":1796119200.5,"upstream_cluster":"no","backend":"aws","duration":12.75,"req":{"user":"ann","x":{}},"response_code":0}`,
			want: []string{"10:00:00.500 12ms - 0  |aws   |  ann"},
		},
		{
			name: "a format of its own", options: Options{
				Headers: []string{"x-api-key"}, Format: "%START_TIME(%s.%3f)% %REQUEST_HEADER(x-api-key):20% %RESPONSE_CODE% %DURATION% %UPSTREAM_CLUSTER%;\n",
			},
			log:  "1796119200.123 k1 200 5 aws;\n1796119200.123 - 200 5 -;\n1796119200.123 k 1 200 5 aws;\n",
			want: []string{"10:00:00.123 5ms - 200  |aws   |  k1", "10:00:00.123 5ms - 200  |   |  -", `line 3: text: %UPSTREAM_CLUSTER% is "5 aws", with a space`},
		},
		{
			name: "lines that can't be read", log: strings.Join([]string{
				`{"start_time":"2026-11-28T10:00:00Z"}`, `{"start_time":"yesterday","duration":1,"response_code":200}`, `{"start_time"`,
				`{"duration":1,"response_code":200}`, `{"start_time":"2026-11-28T10:00:00Z","duration":1,"response_code":"OK"}`,
				`{"a":1} x`, `{"a":tru}`, `starting envoy`, `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, istioJSON,
			}, "\n"),
			want: []string{
				"line 1: no duration; --field duration=KEY", `line 2: start_time is "yesterday", want a time`, "line 3: the JSON ends early",
				"line 4: no start_time; --field", `line 5: response_code is "OK", want a whole number`, `line 6: JSON: "x" follows the object`,
				`line 7: JSON: no value at byte 6: "tru}"`, "line 8: neither JSON nor text in", "line 9: longer than a MiB", "10:00:00.123 12ms",
			},
		},
		{
			name: "numbers out of range", log: strings.Join([]string{
				`{"start_time":"0001-01-01T00:00:00Z","duration":1,"response_code":200}`, `{"start_time":"2262-06-01T00:00:00Z","duration":1,"response_code":200}`,
				`{"start_time":-1,"duration":1,"response_code":200}`, `{"start_time":"2026-11-28T10:00:00Z","duration":2678400001,"response_code":200}`,
				`{"start_time":"2026-11-28T10:00:00Z","duration":2678400000,"response_code":200}`,
				`{"start_time":"2026-11-28T10:00:00Z","duration":1.5e3,"response_code":200}`, `{"start_time":"2026-11-28T10:00:00Z","duration":-1,"response_code":200}`,
			}, "\n"),
			want: []string{
				`line 1: start_time is "0001-01-01T00:00:00Z", want a time such as`, `line 2: start_time is "2262-06-01T00:00:00Z", want`, `line 3: start_time is "-1", want`,
				`line 4: duration is "2678400001", want a whole number up to 2678400000`, "10:00:00.000 744h0m0s - 200", `line 6: duration is "1.5e3", want`,
				`line 7: duration is "-1", want`,
			},
		},
		{
			name: "what would steer a terminal", log: "{\"a\":\"\\\x1b[2J\"}\n{\"a\":\"\\u\x1b[2J\"}\n{\"start_time\":\"\x1b[2J\",\"duration\":1,\"response_code\":200}\n\x1b[2J",
			want: []string{`line 1: JSON: "\\\x1b" at byte 7 is no escape`, `line 2: JSON: "\\u\x1b[2J" at byte 7 is`, `line 3: start_time is "\x1b[2J", want`, "line 4: neither"},
		},
		{
			name: "values without a byte", options: Options{Format: "[%START_TIME%] [%DURATION%] [%RESPONSE_CODE%] [%GRPC_STATUS%] [%UPSTREAM_CLUSTER%] [%RESPONSE_FLAGS%]"},
			log:  "[2026-11-28T10:00:00Z] [5] [200] [] [] []\n[] [5] [200] [] [] []\n[2026-11-28T10:00:00Z] [] [200] [] [] []",
			want: []string{"10:00:00.000 5ms - 200  |   |", "line 2: no start_time", "line 3: no duration"},
		},
		{name: "an unknown field", options: Options{Fields: map[string]string{"stop_time": "x"}}, want: []string{"there is no field stop_time; the fields are start_time,"}},
		{name: "a format that can't be read back", options: Options{Format: "%START_TIME%%DURATION%"}, want: []string{"the format has %START_TIME% right before %DURATION%"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var zipped bytes.Buffer
			w := gzip.NewWriter(&zipped)
			if _, err := io.WriteString(w, test.log); err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			for name, in := range map[string]io.Reader{"plain": strings.NewReader(test.log), "gzip": &zipped} {
				got := readAll(t, in, test.options)
				if len(got) != len(test.want) {
					t.Fatalf("%s: got %q, want %q", name, got, test.want)
				}
				for i, want := range test.want {
					if !strings.HasPrefix(got[i], want) {
						t.Errorf("%s, line %d:\n got %q\nwant %q", name, i+1, got[i], want)
					}
				}
			}
		})
	}
}

// TestTruncated: a compressed log that is not complete.
func TestTruncated(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(w, strings.Repeat(istioJSON+"\n", 100)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for _, size := range []int{5, zipped.Len() / 2, zipped.Len() - 1} {
		r, err := NewReader(bytes.NewReader(zipped.Bytes()[:size]), Options{})
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, errTruncated) {
			t.Errorf("%d of %d bytes: got %v, want %v", size, zipped.Len(), err, errTruncated)
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	for _, line := range []string{istioJSON, istioText, envoyText} {
		r, err := NewReader(strings.NewReader(strings.Repeat(line+"\n", 2100)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := testing.AllocsPerRun(2000, func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		})
		if got >= 1 {
			t.Errorf("%.40s: got %v allocations a line, want less than one", line, got)
		}
	}
}

// FuzzJSON compares what is taken for JSON, and the text of one key, with encoding/json.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{istioJSON, `{"path":"\u12"}`, `{"path":"a\n\ud800x"}`, `{"path":{"path":1},"path":"b"}`, `{}`, `{"path":1e5}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = bytes.TrimSpace(text)
		if len(text) == 0 || text[0] != '{' {
			return
		}
		n, err := newNames(Options{})
		if err != nil {
			t.Fatal(err)
		}
		values, ranks := make([][]byte, fields), make([]uint8, fields)
		_, got := object(text, &n, values, ranks, nil)
		var all map[string]any
		want := json.Unmarshal(text, &all)
		if want == nil && got != nil && !strings.Contains(got.Error(), "32 deep") {
			t.Errorf("object(%q): got %v, want it read as encoding/json reads it", text, got)
		}
		only := struct {
			Path *string `json:"path"`
		}{}
		if got != nil || want != nil || len(all) != 1 || json.Unmarshal(text, &only) != nil || only.Path == nil || bytes.Count(text, []byte("ath")) > 1 {
			return
		}
		if value := string(values[path]); all["path"] != nil && value != *only.Path && *only.Path != "-" && !strings.Contains(*only.Path, "\ufffd") {
			t.Errorf("object(%q): got path %q, want %q", text, value, *only.Path)
		}
	})
}
