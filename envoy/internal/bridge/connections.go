package bridge

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connections bounds how many connections there are at a time, and how long one may be there before its first request.
// The server's own limit of time for a request's head does not begin in HTTP/2 before there is a stream.
type connections struct {
	net.Listener
	open    chan struct{} // holds one element for each
	refused atomic.Int64
	first   time.Duration
}

// Accept waits for a connection for which there is room. Others are closed at once, so that their callers know.
func (c *connections) Accept() (net.Conn, error) {
	for {
		accepted, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case c.open <- struct{}{}:
			conn := &connection{Conn: accepted, release: sync.OnceFunc(func() { <-c.open })}
			conn.first = time.AfterFunc(c.first, func() { _ = conn.Close() })
			return conn, nil
		default:
			c.refused.Add(1)
			_ = accepted.Close()
		}
	}
}

// connection is one that counts until it is closed.
type connection struct {
	net.Conn
	first   *time.Timer
	release func()
}

func (c *connection) Close() error {
	c.first.Stop()
	c.release()
	return c.Conn.Close()
}

type connectionKey struct{}

// withConnection is the server's ConnContext.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// requested notes that a connection has brought the head of a request.
func requested(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.first.Stop()
	}
}
