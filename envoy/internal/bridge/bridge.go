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

// timeLimits are those of the HTTP server. Only tests change them.
type timeLimits struct {
	head time.Duration // to receive a request's head, the first one from when the connection was made
	ping time.Duration // without a whole frame of HTTP/2, until a PING is sent; its answer may take head
	body time.Duration // to receive its head and body
	send time.Duration // to send the answer
	idle time.Duration // between two requests
}

// Envoy closes a connection that was idle for an hour. The bridge must not close it first: it might do so just when
// Envoy sends the next request over it. A caller without the token is not left idle: see closeAfter.
var defaultTimeLimits = timeLimits{head: 5 * time.Second, ping: 30 * time.Second, body: 10 * time.Second, send: 30 * time.Second, idle: 2 * time.Hour}

const (
	maxHead    = 16 << 10
	maxStreams = 1000 // of one HTTP/2 connection; Go's default, 250, is less than DefaultMaxRequests
)

// Bridge is a running bridge.
type Bridge struct {
	settings settings
	client   redis.UniversalClient
	embedded *embedded // nil with a Redis outside this process

	server   *http.Server
	listener *connections
	failed   chan error // why the server ended without Stop

	slots        chan struct{} // holds one element for each request in flight
	draining     atomic.Bool
	health       health
	counts       counts
	availability availability
}

// Run runs a bridge until ctx ends, and then stops it. Mistakes in o are errors as Check returns them.
func Run(ctx context.Context, o Options) error {
	b, err := Start(o)
	if err != nil {
		return err
	}
	if err := b.ping(); err == nil {
		b.settings.Log.Info("Redis answers", "redis", b.settings.target.where)
	}
	select {
	case <-ctx.Done():
	case err = <-b.failed:
	}
	return errors.Join(err, b.Stop())
}

// Start starts a bridge. It listens when Start returns; Redis may come later.
func Start(o Options) (*Bridge, error) {
	s, err := o.resolve()
	if err != nil {
		return nil, err
	}
	b := &Bridge{
		settings: s,
		failed:   make(chan error, 1),
		slots:    make(chan struct{}, s.MaxRequests),
	}
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return nil, err
	}
	b.listener = &connections{Listener: listener, open: make(chan struct{}, s.MaxConnections), first: s.limits.head}
	if s.Embedded {
		if b.embedded, err = startEmbedded(); err != nil {
			return nil, errors.Join(fmt.Errorf("embedded Redis: %w", err), b.listener.Close())
		}
		b.settings.target = b.embedded.target
	}
	b.availability = availability{log: s.Log, redis: b.settings.target.where}
	if b.client, err = b.settings.target.connect(tuning{s.Timeout, s.Connections}); err != nil {
		return nil, errors.Join(err, b.listener.Close(), b.closeRedis())
	}
	b.serve()
	return b, nil
}

// serve speaks HTTP/1.1 and, to a client that begins with HTTP/2's preface, HTTP/2 without TLS (h2c): an Envoy cluster
// can be configured for either.
func (b *Bridge) serve() {
	b.server = &http.Server{
		Handler:           b,
		Protocols:         new(http.Protocols),
		ConnContext:       withConnection,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: b.settings.limits.ping, PingTimeout: b.settings.limits.head},
		ReadHeaderTimeout: b.settings.limits.head,
		ReadTimeout:       b.settings.limits.body,
		WriteTimeout:      b.settings.limits.send,
		IdleTimeout:       b.settings.limits.idle,
		MaxHeaderBytes:    maxHead,
	}
	b.server.Protocols.SetHTTP1(true)
	b.server.Protocols.SetUnencryptedHTTP2(true)

	b.settings.Log.Info("bridge listens", "url", "http://"+b.Addr(), "token_required", b.settings.Token != "",
		"redis", b.settings.target.where, "commands", b.settings.commands.String())
	go func() {
		if err := b.server.Serve(b.listener); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- err
		}
	}()
}

// Addr is the HOST:PORT that the bridge listens on.
func (b *Bridge) Addr() string { return b.listener.Addr().String() }

// Stop answers /health with 503 for Options.Drain and serves everything else, then accepts no more requests and waits
// up to Options.Grace for those in flight. The error counts the requests that were cut off.
func (b *Bridge) Stop() error {
	if !b.draining.CompareAndSwap(false, true) {
		return nil
	}
	b.settings.Log.Info("bridge stops", "requests_in_flight", len(b.slots))
	time.Sleep(b.settings.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), b.settings.Grace)
	defer cancel()
	err := b.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("%d requests were still in flight after %v and were cut off", len(b.slots), b.settings.Grace), b.server.Close())
	}
	err = errors.Join(err, b.closeRedis())
	b.settings.Log.Info("bridge stopped")
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
