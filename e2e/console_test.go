package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/envoy/render"
)

// withAdmin gives an Envoy Weir's admin listener.
func withAdmin(o *render.Options) { o.Admin = "127.0.0.1:0" }

// console is Weir's admin listener, as an operator talks to it.
type console struct {
	t   *testing.T
	url string
}

func (w *weir) console() *console { return &console{w.t, "http://" + w.Addr("weir_admin")} }

// ask sends a request, over a connection of its own so that each worker gets some. A header is a name and its value.
func (c *console) ask(method, path, body string, headers ...string) answer {
	c.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	r.URL.Opaque = path // as it stands, wrong encodings included
	setAll(r, headers)
	r.Host = r.Header.Get("Host") // "": the address
	return send(&http.Client{
		Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, r)
}

// does sends a POST that has to succeed.
func (c *console) post(path string) {
	c.t.Helper()
	if a := c.ask(http.MethodPost, path, ""); a.err != nil || a.status != 200 {
		c.t.Fatalf("POST %s: got %+v, want status 200", path, a)
	}
}

// tree is JSON.
type tree map[string]any

// at is the value at a path of names with dots between them; the name of a cluster must have none.
func (s tree) at(path string) any {
	var v any = map[string]any(s)
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		var ok bool
		if v, ok = m[name]; !ok {
			return "absent"
		}
	}
	return v
}

func (c *console) get(path string) (s tree, err error) {
	c.t.Helper()
	a := c.ask(http.MethodGet, path, "")
	if a.err != nil || a.status != 200 {
		return nil, fmt.Errorf("GET %s: got %+v, want status 200", path, a)
	}
	return s, json.Unmarshal([]byte(a.body), &s)
}

// status is all of GET /status.
func (c *console) status() tree {
	c.t.Helper()
	s, err := c.get("/status")
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// shows waits until the status of a cluster is this: what is published by the workers comes a second later. A want that
// is a func takes the value and returns what is wrong with it.
func (c *console) waitStatus(cluster string, want map[string]any) {
	c.t.Helper()
	eventually(c.t, func() error {
		s, err := c.get("/status/" + url.PathEscape(cluster))
		if err != nil {
			return err
		}
		for path, wanted := range want {
			got := s.at(path)
			if check, ok := wanted.(func(any) error); ok {
				if err := check(got); err != nil {
					return fmt.Errorf("%s: %s: %w", cluster, path, err)
				}
			} else if fmt.Sprint(got) != fmt.Sprint(wanted) {
				return fmt.Errorf("%s: %s is %v, want %v, in %v", cluster, path, got, wanted, s)
			}
		}
		return nil
	})
}

// during wants a time of day within two others, to a few milliseconds.
func during(from, to time.Time) func(any) error {
	return func(got any) error {
		text, _ := got.(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || !strings.HasSuffix(text, "Z") {
			return fmt.Errorf("got %v, want a time in UTC", got)
		}
		const slack = 5 * time.Millisecond
		if at.Before(from.Add(-slack)) || at.After(to.Add(slack)) {
			return fmt.Errorf("got %v, want a time between %v and %v", at, from.UTC(), to.UTC())
		}
		return nil
	}
}

// within wants one in [low, high].
func within(low, high float64) func(any) error {
	return func(got any) error {
		if n, ok := got.(float64); !ok || n < low || n > high {
			return fmt.Errorf("got %v, want a number from %v to %v", got, low, high)
		}
		return nil
	}
}
