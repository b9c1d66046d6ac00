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
	"time"

	"github.com/weir-mesh/weir/policy/spelling"
)

// Bounds of what a Client takes.
const (
	MaxAnswer      = 8 << 20 // bytes: a thousand clusters are about 1 MB
	DefaultTimeout = 5 * time.Second
)

// Client asks one admin listener. Make it by NewClient.
type Client struct {
	base    url.URL
	timeout time.Duration
	http    http.Client
}

// NewClient takes the listener's address: a URL, with or without a path before /status, or HOST:PORT. A timeout of 0 is
// DefaultTimeout. Nothing is sent yet.
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
		return nil, fmt.Errorf("%s names no host", base.Redacted())
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("%s: there must be no query and no fragment", base.Redacted())
	}
	*base = *base.JoinPath("/") // ends with one /
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Client{
		base:    *base,
		timeout: timeout,
		http: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect is no answer of Weir's, and its target was not asked for
		}},
	}, nil
}

// String is the address, without a password.
func (c *Client) String() string { return strings.TrimSuffix(c.base.Redacted(), "/") }

// ErrNotWeir is an answer that Weir's admin listener does not give.
var ErrNotWeir = errors.New("not Weir's admin listener")

// All gets the status of every cluster, as it came and decoded.
func (c *Client) All(ctx context.Context) (raw []byte, _ *Status, _ error) {
	raw, err := c.ask(ctx, http.MethodGet, "status")
	if err != nil {
		return nil, nil, err
	}
	var s Status
	if err := json.Unmarshal(raw, &s); err != nil || s.Clusters == nil {
		if other := c.otherVersion(err); other != nil {
			return nil, nil, other
		}
		return nil, nil, c.notWeir("its answer is no status: %s", excerpt(raw))
	}
	return raw, &s, nil
}

// One gets the status of one cluster, as it came and decoded. A name that is not known is an UnknownCluster.
func (c *Client) One(ctx context.Context, cluster string) (raw []byte, _ *Cluster, _ error) {
	raw, err := c.ask(ctx, http.MethodGet, "status", cluster)
	if err != nil {
		return nil, nil, c.explain(ctx, cluster, err)
	}
	var one struct {
		Cluster string `json:"cluster"`
	}
	var s Cluster
	if err := json.Unmarshal(raw, &one); err != nil || one.Cluster != cluster {
		return nil, nil, c.notWeir("its answer is no status of %s: %s", Printable(cluster), excerpt(raw))
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		if other := c.otherVersion(err); other != nil {
			return nil, nil, other
		}
		return nil, nil, c.notWeir("its answer is no status of %s: %s", Printable(cluster), excerpt(raw))
	}
	return raw, &s, nil
}

// Reset closes a cluster's breaker and begins its counters anew. It returns the answer as it came.
func (c *Client) Reset(ctx context.Context, cluster string) (raw []byte, _ error) {
	raw, err := c.ask(ctx, http.MethodPost, "reset", cluster)
	if err != nil {
		return nil, c.explain(ctx, cluster, err)
	}
	var done struct{ Cluster, Done string }
	if err := json.Unmarshal(raw, &done); err != nil || done.Cluster != cluster || done.Done != "reset" {
		return nil, c.notWeir("it does not say that %s is reset: %s", Printable(cluster), excerpt(raw))
	}
	return raw, nil
}

// refusal is an error that the admin listener itself answered.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("refused: %d %s", r.status, Printable(r.text)) }

// explain makes Weir's own 404 an UnknownCluster with the names that there are.
func (c *Client) explain(ctx context.Context, cluster string, err error) error {
	var r *refusal
	if !errors.As(err, &r) || r.status != http.StatusNotFound {
		return err
	}
	_, all, allErr := c.All(ctx)
	if allErr != nil {
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

// whereItIs is the mend where an address is not that of the admin listener.
const whereItIs = "its address is what `weir render envoy --weir-admin` was given"

func (c *Client) notWeir(format string, args ...any) error {
	return fmt.Errorf("%s is %w: %s; %s", c, ErrNotWeir, fmt.Sprintf(format, args...), whereItIs)
}

// otherVersion is the error for a status of which a part has another type than this program knows; nil for any other
// mistake. (Parts that are missing, or that it does not know, are none.)
func (c *Client) otherVersion(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Field, ".") {
		return nil
	}
	return fmt.Errorf("%s: %s has a form that this weir does not know (%s): take the weir of the filter's version", c, Printable(wrong.Field), wrong.Value)
}

// ask sends one request without a body and returns the body of a 200, which is JSON.
func (c *Client) ask(ctx context.Context, method string, path ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	for _, part := range path {
		target.Path, target.RawPath = join(target.EscapedPath(), url.PathEscape(part))
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.noAnswer(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxAnswer+1))
	if err != nil {
		return nil, c.noAnswer(err)
	}
	if len(body) > MaxAnswer {
		return nil, c.notWeir("its answer is longer than %d MB", MaxAnswer>>20)
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	isJSON := kind == "application/json" && json.Valid(body)
	if answer.StatusCode == http.StatusOK && isJSON {
		return body, nil
	}
	var refused struct{ Error string }
	if isJSON && json.Unmarshal(body, &refused) == nil && refused.Error != "" {
		return nil, fmt.Errorf("%s: %w", c, &refusal{answer.StatusCode, refused.Error})
	}
	if kind == "" {
		kind = "a body of no type"
	}
	what := fmt.Sprintf("%s /%s got %d and %s", method, Printable(strings.Join(path, "/")), answer.StatusCode, Printable(kind))
	if strings.EqualFold(answer.Header.Get("Server"), "envoy") && strings.Contains(string(body), "admin commands") {
		what += "; this is Envoy's own admin interface, Weir's is another listener"
	}
	return nil, c.notWeir("%s", what)
}

// join appends a part to an escaped path, and gives both forms of it.
func join(path, escaped string) (plain, raw string) {
	raw = strings.TrimSuffix(path, "/") + "/" + escaped
	plain, err := url.PathUnescape(raw)
	if err != nil {
		return raw, raw
	}
	return plain, raw
}

// noAnswer says shortly why none came.
func (c *Client) noAnswer(err error) error {
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
		return fmt.Errorf("%s: no answer within %v; --timeout waits longer", c, c.timeout)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s: it speaks without TLS: write http://", c)
	case errors.As(err, &dns):
		return fmt.Errorf("%s: no such host: %s; write HOST:PORT of Weir's admin listener", c, Printable(dns.Name))
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%s: no connection: %v; see whether Envoy runs, and with Weir's admin listener: %s", c, op.Err, whereItIs)
	}
	return fmt.Errorf("%s: %s", c, Printable(err.Error()))
}

// excerpt is the begin of an answer, for a message.
func excerpt(body []byte) string {
	const most = 80
	text := strings.Join(strings.Fields(string(body[:min(len(body), most)])), " ")
	if len(body) > most {
		text += "…"
	}
	return Printable(text)
}
