package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/policy/spelling"
)

// Bounds of a response.
const (
	MaxResponse    = 8 << 20 // bytes: a thousand clusters take about 1 MB
	DefaultTimeout = 5 * time.Second
)

// Client calls one admin listener. NewClient makes it.
type Client struct {
	base    url.URL
	timeout time.Duration
	http    http.Client
}

// NewClient takes the listener's address: a URL, with or without a path before /status, or HOST:PORT. A timeout of 0
// means DefaultTimeout. It does not connect.
func NewClient(address string, timeout time.Duration) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a URL: %w", err)
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("%s: the scheme must be http or https", base.Redacted())
	case base.Hostname() == "":
		return nil, fmt.Errorf("%s has no host: write http://HOST:PORT, or HOST:PORT", base.Redacted())
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("%s has a query or a fragment: leave it out", base.Redacted())
	}
	*base = *base.JoinPath("/") // ends with one /
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Client{
		base:    *base,
		timeout: timeout,
		http: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // Weir sends no redirects, and the user did not name the target
		}},
	}, nil
}

// String is the address without a password.
func (c *Client) String() string { return strings.TrimSuffix(c.base.Redacted(), "/") }

// ErrNotWeir is the error for a response that Weir's admin listener does not send.
var ErrNotWeir = errors.New("not Weir's admin listener")

// Status gets the status of all clusters, as it came and decoded.
func (c *Client) Status(ctx context.Context) (raw []byte, _ *adminapi.Status, _ error) {
	raw, err := c.send(ctx, http.MethodGet, nil, "status")
	if err != nil {
		return nil, nil, err
	}
	var s adminapi.Status
	if err := json.Unmarshal(raw, &s); err != nil || s.Clusters == nil {
		if other := c.otherVersion(err); other != nil {
			return nil, nil, other
		}
		return nil, nil, c.notWeir("its response is not a status: %s", excerpt(raw))
	}
	return raw, &s, nil
}

// Cluster gets the status of one cluster, as it came and decoded. A name that is not known is an UnknownCluster error.
func (c *Client) Cluster(ctx context.Context, name string) (raw []byte, _ *adminapi.Cluster, _ error) {
	raw, err := c.send(ctx, http.MethodGet, nil, "status", name)
	if err != nil {
		return nil, nil, c.explain(ctx, name, err)
	}
	var named struct {
		Cluster string `json:"cluster"`
	}
	if err := json.Unmarshal(raw, &named); err != nil || named.Cluster != name {
		return nil, nil, c.notWeir("its response is not a status of %s: %s", Printable(name), excerpt(raw))
	}
	var s adminapi.Cluster
	if err := json.Unmarshal(raw, &s); err != nil {
		if other := c.otherVersion(err); other != nil {
			return nil, nil, other
		}
		return nil, nil, c.notWeir("its response is not a status of %s: %s", Printable(name), excerpt(raw))
	}
	return raw, &s, nil
}

// Reset closes a cluster's breaker, makes its limits unused and starts its counts at zero. It returns the response as
// it came.
func (c *Client) Reset(ctx context.Context, cluster string) (raw []byte, _ error) {
	return c.change(ctx, cluster, "reset", nil, "reset", cluster)
}

// Breaker forces a cluster's breaker (action: open or close), or ends that (auto). It returns the response as it came.
func (c *Client) Breaker(ctx context.Context, cluster, action string) (raw []byte, _ error) {
	return c.change(ctx, cluster, action, nil, "breaker", cluster, action)
}

// Invalidate drops a cluster's kept answers, those of one path where it is not empty. It returns the response as it came.
func (c *Client) Invalidate(ctx context.Context, cluster, path string) (raw []byte, _ error) {
	query := url.Values{"cluster": {cluster}}
	if path != "" {
		query.Set("path", path)
	}
	return c.change(ctx, cluster, "invalidate", query, "cache", "invalidate")
}

// change sends a POST that changes a cluster, and looks whether the response says that this was done.
func (c *Client) change(ctx context.Context, cluster, what string, query url.Values, path ...string) (raw []byte, _ error) {
	raw, err := c.send(ctx, http.MethodPost, query, path...)
	if err != nil {
		return nil, c.explain(ctx, cluster, err)
	}
	var done struct{ Cluster, Done string }
	if err := json.Unmarshal(raw, &done); err != nil || done.Cluster != cluster || done.Done != what {
		return nil, c.notWeir("its response does not confirm %s of %s: %s", what, Printable(cluster), excerpt(raw))
	}
	return raw, nil
}

// apiError is an error response of the admin API.
type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string { return fmt.Sprintf("refused: %d %s", e.status, Printable(e.text)) }

// explain turns the admin API's 404 into an UnknownCluster with the known names.
func (c *Client) explain(ctx context.Context, cluster string, err error) error {
	var e *apiError
	if !errors.As(err, &e) || e.status != http.StatusNotFound {
		return err
	}
	_, all, failed := c.Status(ctx)
	if failed != nil {
		return err
	}
	if _, known := all.Clusters[cluster]; known {
		return err
	}
	names := make([]string, 0, len(all.Clusters))
	for name := range all.Clusters {
		names = append(names, name)
	}
	return &UnknownCluster{At: c.String(), Name: cluster, Near: spelling.Nearest(cluster, names, nearMost), All: len(names)}
}

// addressHint says where the user finds the right address.
const addressHint = "its address is what `weir render envoy --weir-admin` was given"

func (c *Client) notWeir(format string, args ...any) error {
	return fmt.Errorf("%s is %w: %s; %s", c, ErrNotWeir, fmt.Sprintf(format, args...), addressHint)
}

// otherVersion is the error for a status in which a field has another type than in adminapi, nil for any other error.
// Fields that are missing or unknown are no error.
func (c *Client) otherVersion(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Field, ".") {
		return nil
	}
	return fmt.Errorf("%s: %s has a type that this weir does not know (%s): use the weir of the filter's version", c, Printable(wrong.Field), wrong.Value)
}

// send sends a request without a body, and returns the body of the response if it is a 200 with JSON.
func (c *Client) send(ctx context.Context, method string, query url.Values, path ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	for _, part := range path {
		target.Path, target.RawPath = join(target.EscapedPath(), url.PathEscape(part))
	}
	target.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return nil, c.connectionError(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxResponse+1))
	if err != nil {
		return nil, c.connectionError(err)
	}
	if len(body) > MaxResponse {
		return nil, c.notWeir("its response is longer than %d MB", MaxResponse>>20)
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	isJSON := kind == "application/json" && json.Valid(body)
	if response.StatusCode == http.StatusOK && isJSON {
		return body, nil
	}
	var refused struct{ Error string }
	if isJSON && json.Unmarshal(body, &refused) == nil && refused.Error != "" {
		return nil, fmt.Errorf("%s: %w", c, &apiError{response.StatusCode, refused.Error})
	}
	if kind == "" {
		kind = "a body without a type"
	}
	what := fmt.Sprintf("%s /%s got %d and %s", method, Printable(strings.Join(path, "/")), response.StatusCode, Printable(kind))
	if strings.EqualFold(response.Header.Get("Server"), "envoy") && strings.Contains(string(body), "admin commands") {
		what += "; this is Envoy's own admin interface: use Weir's admin listener"
	}
	return nil, c.notWeir("%s", what)
}

// join appends a part to an escaped path. It returns the path decoded and as it is escaped.
func join(path, escaped string) (plain, raw string) {
	raw = strings.TrimSuffix(path, "/") + "/" + escaped
	plain, err := url.PathUnescape(raw)
	if err != nil {
		return raw, raw
	}
	return plain, raw
}

// connectionError says briefly why no response came.
func (c *Client) connectionError(err error) error {
	var sent *url.Error
	if errors.As(err, &sent) {
		err = sent.Err
	}
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no response within %v: wait longer with --timeout", c, c.timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s: the connection ended before the whole response was there; check that Envoy still runs, and that this is Weir's admin listener: %s", c, addressHint)
	case strings.Contains(err.Error(), "malformed HTTP"): // net/http has no value for it
		return c.notWeir("its response is not HTTP")
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s: the server does not use TLS: write http://", c)
	case errors.As(err, &dns):
		return fmt.Errorf("%s: no such host: %s: write HOST:PORT of Weir's admin listener", c, Printable(dns.Name))
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%s: no connection: %v; check that Envoy runs with Weir's admin listener: %s", c, op.Err, addressHint)
	}
	return fmt.Errorf("%s: %s", c, Printable(err.Error()))
}

// excerpt is the beginning of a response, for a message.
func excerpt(body []byte) string {
	const most = 80
	text := strings.Join(strings.Fields(string(body[:min(len(body), most)])), " ")
	if len(body) > most {
		text += "…"
	}
	return Printable(text)
}
