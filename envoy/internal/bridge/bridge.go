package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bounds that are no options, since nobody gains by another value.
const (
	headTimeout = 5 * time.Second  // a request's head must be there by then
	bodyTimeout = 10 * time.Second // and its body
	sendTimeout = 30 * time.Second // an answer must be taken by then
	// Envoy closes a connection that was idle for an hour. Were the bridge to close it first, it might do so just when Envoy
	// sends the next request by it.
	idleTimeout = 2 * time.Hour
	maxHead     = 16 << 10
	maxStreams  = 1000 // of one HTTP/2 connection; Go's own default, 250, is less than the requests under way may be
)

// Bridge is a running bridge.
type Bridge struct {
	settings settings
	client   redis.UniversalClient
	embedded *embedded // nil: Redis is elsewhere
	where    string    // Redis, for people

	server   *http.Server
	listener net.Listener
	failed   chan error // why the server ended on its own

	slots    chan struct{} // one in it for each request under way
	draining atomic.Bool
	health   health
	counts   counts
	journal  journal
}

// Run runs a bridge until ctx ends, and then stops it. An error of Options is one of Check's.
func Run(ctx context.Context, o Options) error {
	b, err := Start(o)
	if err != nil {
		return err
	}
	if err := b.ping(); err == nil {
		b.journal.line("Redis %s answers", b.where)
	}
	select {
	case <-ctx.Done():
	case err = <-b.failed:
	}
	return errors.Join(err, b.Stop())
}

// Start starts a bridge. It listens when Start returns; Redis need not be there yet.
func Start(o Options) (*Bridge, error) {
	s, err := o.settle()
	if err != nil {
		return nil, err
	}
	b := &Bridge{
		settings: s,
		where:    s.target.where,
		failed:   make(chan error, 1),
		slots:    make(chan struct{}, s.MaxRequests),
		journal:  journal{out: s.Log},
	}
	if b.listener, err = net.Listen("tcp", s.Listen); err != nil {
		return nil, err
	}
	if s.Embedded {
		if b.embedded, err = startEmbedded(); err != nil {
			return nil, errors.Join(fmt.Errorf("embedded Redis: %w", err), b.listener.Close())
		}
		s.target = b.embedded.target
		b.where = s.target.where
	}
	if b.client, err = s.target.connect(tuning{s.Timeout, s.Connections}); err != nil {
		return nil, errors.Join(err, b.listener.Close(), b.closeRedis())
	}
	b.serve()
	return b, nil
}

// serve answers by HTTP/1.1 and, to a client that begins with HTTP/2's preface, by HTTP/2 without TLS ("h2c"): Envoy can be
// told to speak either.
func (b *Bridge) serve() {
	b.server = &http.Server{
		Handler:           b,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      sendTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          nil,
	}
	b.server.Protocols.SetHTTP1(true)
	b.server.Protocols.SetUnencryptedHTTP2(true)

	access := "with a token"
	if b.settings.Token == "" {
		access = "without a token"
	}
	b.journal.line("listens on http://%s %s; Redis: %s; lets through %s", b.Addr(), access, b.where, b.settings.commands)
	go func() {
		if err := b.server.Serve(b.listener); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- err
		}
	}()
}

// Addr is the HOST:PORT that the bridge listens on.
func (b *Bridge) Addr() string { return b.listener.Addr().String() }

// Stop says 503 to /health for Options.Drain while all else goes on, then takes no more requests and waits up to
// Options.Grace for those under way. The error tells of requests that were cut off.
func (b *Bridge) Stop() error {
	if !b.draining.CompareAndSwap(false, true) {
		return nil
	}
	b.journal.line("stops: %d requests under way", len(b.slots))
	time.Sleep(b.settings.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), b.settings.Grace)
	defer cancel()
	err := b.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("%d requests were still under way after %v", len(b.slots), b.settings.Grace), b.server.Close())
	}
	err = errors.Join(err, b.closeRedis())
	b.journal.line("stopped")
	return err
}

func (b *Bridge) closeRedis() error {
	var err error
	if b.client != nil {
		err = b.client.Close()
	}
	if b.embedded != nil {
		b.embedded.redis.Close()
	}
	return err
}
