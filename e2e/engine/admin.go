package engine

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Results of /ready: live, silent while the admin interface does not answer, or another text.
// https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--ready
const (
	live   = "LIVE"
	silent = "nothing"
)

func (e *Envoy) readiness() string {
	if e.admin == "" {
		written, err := os.ReadFile(filepath.Join(e.dir, e.name+"."+adminFile))
		if err != nil || len(written) == 0 {
			return silent
		}
		e.admin = strings.TrimSpace(string(written))
	}
	_, text, err := e.call(http.MethodGet, "/ready")
	if err != nil {
		return silent
	}
	return strings.TrimSpace(text)
}

// AdminAddr is host:port of Envoy's admin interface.
func (e *Envoy) AdminAddr() string { return e.admin }

// Admin gets a path of Envoy's admin interface and returns the body. Any status but 200 fails the test.
func (e *Envoy) Admin(path string) string {
	e.t.Helper()
	return e.mustCall(http.MethodGet, path)
}

// AdminPost posts to a path that changes something, such as /logging?wasm=debug.
func (e *Envoy) AdminPost(path string) string {
	e.t.Helper()
	return e.mustCall(http.MethodPost, path)
}

func (e *Envoy) mustCall(method, path string) string {
	e.t.Helper()
	status, text, err := e.call(method, path)
	if err != nil {
		e.t.Fatalf("admin %s: %v", path, err)
	}
	if status != http.StatusOK {
		e.t.Fatalf("admin %s: %d %s", path, status, text)
	}
	return text
}

func (e *Envoy) call(method, path string) (status int, text string, err error) {
	request, err := http.NewRequest(method, "http://"+e.admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}
