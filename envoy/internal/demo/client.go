package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Paths of the upstream. Its prices have `cache-control: no-store`; its catalogue has no cache-control.
const (
	prices    = "/prices"
	catalogue = "/catalogue"
)

const (
	requestTimeout = 10 * time.Second
	maxBody        = 64 << 10
)

// answer is an HTTP response, read to its end.
type answer struct {
	code          int
	proto, status string // "HTTP/1.1", "429 Too Many Requests"
	header        http.Header
	body          string
	path          string
	sent          time.Time // just before the request was sent
	took          time.Duration
}

func (a answer) source() string { return a.header.Get("X-Weir-Source") }
func (a answer) reason() string { return a.header.Get("X-Weir-Reason") }

// retryAfter is the Retry-After header's number of seconds (RFC 9110, 10.2.3); false if it is absent or not a number.
func (a answer) retryAfter() (time.Duration, bool) {
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, err == nil && seconds >= 1
}

// isUpstreams says that this is a good response of the upstream.
func (a answer) isUpstreams() bool { return a.code == http.StatusOK && a.source() == "upstream" }

// isRefused says that the rate limit refused the request.
func (a answer) isRefused() bool {
	return a.code == http.StatusTooManyRequests && a.reason() == "rate_limited"
}

// isDefault says that the policy's default data replaced the upstream's response, for that reason.
func (a answer) isDefault(reason string) bool {
	return a.code == http.StatusOK && a.source() == "default" && a.reason() == reason
}

// isCached says that a cached response replaced the upstream's: source is cache or stale_cache.
func (a answer) isCached(source string) bool {
	_, err := strconv.Atoi(a.header.Get("Age"))
	return a.code == http.StatusOK && a.source() == source && err == nil && a.header.Get("Cache-Status") != ""
}

func (a answer) String() string {
	return fmt.Sprintf("%s, source %q, reason %q", a.status, a.source(), a.reason())
}

// get sends one request to the proxy.
func get(ctx context.Context, base, path string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return answer{}, err
	}
	sent := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return answer{}, err
	}
	return answer{
		code: response.StatusCode, proto: response.Proto, status: response.Status, header: response.Header,
		body: string(bytes.TrimSpace(body)), path: path, sent: sent, took: time.Since(sent),
	}, nil
}
