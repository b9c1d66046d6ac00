package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// Options configures a bridge. A number or duration of 0 means its default.
type Options struct {
	Listen   string // HOST:PORT; default DefaultListen
	Redis    string // URL, in the forms that parseTarget and `weir bridge --help` list
	Embedded bool   // use a miniredis in this process instead of Redis

	Token    string   // callers send "Authorization: Bearer TOKEN"; "" needs no token, and a loopback Listen
	Insecure bool     // allow a Listen on other addresses without a token
	Allow    []string // commands allowed besides DefaultCommands

	Timeout        time.Duration // of a request in Redis, including the wait for a connection; default DefaultTimeout
	Grace          time.Duration // for requests in flight when the bridge stops; default DefaultGrace
	Drain          time.Duration // before that, /health answers 503 and everything is still served; default 0
	MaxBody        int64         // bytes of a request's body; default DefaultMaxBody
	MaxCommands    int           // of a pipeline; default DefaultMaxCommands
	MaxRequests    int           // in flight at a time; default DefaultMaxRequests
	MaxConnections int           // of callers at a time; default DefaultMaxConnections
	Connections    int           // to each Redis server, at most; default DefaultConnections

	limits timeLimits // default defaultTimeLimits

	Log *slog.Logger // start, stop, and changes in whether Redis answers; nil discards
}

// Defaults of Options.
const (
	DefaultListen      = "127.0.0.1:7379" // Webdis's port
	DefaultTimeout     = time.Second
	DefaultGrace       = 5 * time.Second
	DefaultDrain       = time.Second // of the command `weir bridge`
	DefaultMaxBody     = 1 << 20
	DefaultMaxCommands = 256
	DefaultMaxRequests = 512
	DefaultConnections = 16

	DefaultMaxConnections = 4096 // some 20 KB each
)

// settings are checked Options with the defaults filled in.
type settings struct {
	Options
	target   target // Redis; set by Start with Embedded
	commands commandSet
}

// Check returns every mistake in the options, one a line.
func (o Options) Check() error {
	_, err := o.resolve()
	return err
}

// resolve fills in the defaults and checks.
func (o Options) resolve() (settings, error) {
	o.Listen = cmp.Or(o.Listen, DefaultListen)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Grace = cmp.Or(o.Grace, DefaultGrace)
	o.MaxBody = cmp.Or(o.MaxBody, DefaultMaxBody)
	o.MaxCommands = cmp.Or(o.MaxCommands, DefaultMaxCommands)
	o.MaxRequests = cmp.Or(o.MaxRequests, DefaultMaxRequests)
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultMaxConnections)
	o.Connections = cmp.Or(o.Connections, DefaultConnections)
	o.limits = cmp.Or(o.limits, defaultTimeLimits)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))

	s := settings{Options: o}
	var mistakes []error
	if err := o.checkAccess(); err != nil {
		mistakes = append(mistakes, err)
	}
	switch {
	case o.Embedded && o.Redis != "":
		mistakes = append(mistakes, errors.New("a Redis URL and embedded exclude each other: give one of them"))
	case !o.Embedded && o.Redis == "":
		mistakes = append(mistakes, errors.New("no Redis: give its URL, or embedded"))
	case !o.Embedded:
		target, err := parseTarget(o.Redis)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("redis URL: %w", err))
		}
		s.target = target
	}
	commands, err := newCommandSet(append(DefaultCommands(), o.Allow...))
	if err != nil {
		mistakes = append(mistakes, fmt.Errorf("allow: %w", err))
	}
	s.commands = commands
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"timeout", int64(o.Timeout)},
		{"grace", int64(o.Grace)},
		{"drain", int64(o.Drain)},
		{"max-body", o.MaxBody},
		{"max-commands", int64(o.MaxCommands)},
		{"max-requests", int64(o.MaxRequests)},
		{"max-connections", int64(o.MaxConnections)},
		{"connections", int64(o.Connections)},
	} {
		if limit.value < 0 {
			mistakes = append(mistakes, fmt.Errorf("%s: must not be negative", limit.name))
		}
	}
	return s, errors.Join(mistakes...)
}

// checkAccess allows a bridge without a token only on this machine's loopback addresses.
func (o Options) checkAccess() error {
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen: want HOST:PORT, got %q", o.Listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("listen: port must be a number up to 65535, got %q", port)
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("token: must be printable ASCII without spaces, since it is sent in a header")
	}
	if o.Token == "" && !o.Insecure && !loopback(host) {
		return fmt.Errorf("listen: other machines can reach %s, and the bridge has no token: set a token, listen on 127.0.0.1, or set insecure", o.Listen)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
