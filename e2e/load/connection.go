package load

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// connection is a client that shares its one connection with no other.
type connection struct {
	plan   Plan
	server int
	client *http.Client
	random *rand.Rand
}

func (p Plan) newConnection(i int) *connection {
	return &connection{
		plan:   p,
		server: i % len(p.URLs),
		client: &http.Client{
			Transport:     &http.Transport{MaxConnsPerHost: 1, DisableCompression: true, DisableKeepAlives: p.NewConnections},
			Timeout:       p.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		random: rand.New(rand.NewPCG(p.Seed, uint64(i))),
	}
}

func (c *connection) send(ctx context.Context, n int64) (a Answer) {
	a.Server = c.server
	if c.random.Float64() < c.plan.LeaveEarly {
		a.Left = true
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, time.Duration(c.random.Int64N(int64(c.plan.LeaveAfter))))
		defer leave()
	}
	request, err := c.plan.request(ctx, c.server, n)
	if err != nil {
		a.Err = err
		return a
	}
	a.Number = request.Header.Get(NumberHeader)
	a.Start = time.Now()
	defer func() { a.End = time.Now() }()
	response, err := c.client.Do(request)
	if err != nil {
		a.Err = err
		return a
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.Err = err
		return a
	}
	a.Status, a.Header, a.Body = response.StatusCode, response.Header, string(body)
	return a
}

func (p Plan) request(ctx context.Context, server int, n int64) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, p.Method, p.URLs[server], strings.NewReader(p.Body))
	if err != nil {
		return nil, err
	}
	request.Host = p.Host
	for name, values := range p.Header {
		request.Header[name] = values
	}
	if p.HeaderOf != nil {
		for name, values := range p.HeaderOf(n) {
			request.Header[name] = values
		}
	}
	if p.Number != "" {
		request.Header.Set(NumberHeader, p.Number+strconv.FormatInt(n, 10))
	}
	return request, nil
}
