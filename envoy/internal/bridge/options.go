package bridge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Options says how the bridge runs. A number or duration of 0 stands for its default.
type Options struct {
	Listen   string // HOST:PORT; default DefaultListen
	Redis    string // URL, see parseTarget's forms in `weir bridge --help`
	Embedded bool   // a miniredis in this process instead

	Token    string   // each caller's "Authorization: Bearer TOKEN"; "": none, which only a loopback Listen may have
	Insecure bool     // lets a Listen that is no loopback address go without a token
	Allow    []string // commands let through besides DefaultCommands

	Timeout     time.Duration // a request's time in Redis, waiting for a connection included; default DefaultTimeout
	Grace       time.Duration // what is under way may take this long once the bridge stops; default DefaultGrace
	Drain       time.Duration // before that, /health says so and everything is still served; 0: none
	MaxBody     int64         // bytes of a request's body; default DefaultMaxBody
	MaxCommands int           // of a pipeline; default DefaultMaxCommands
	MaxRequests int           // under way at a time; default DefaultMaxRequests
	Connections int           // to each Redis server, at most; default DefaultConnections

	Log io.Writer // one line for each start, stop and change in reaching Redis; nil: nowhere
}

// Defaults of Options.
const (
	DefaultListen      = "127.0.0.1:7379" // Webdis's port
	DefaultTimeout     = time.Second
	DefaultGrace       = 5 * time.Second
	DefaultDrain       = time.Second // of the command; Options have none
	DefaultMaxBody     = 1 << 20
	DefaultMaxCommands = 256
	DefaultMaxRequests = 512
	DefaultConnections = 16
)

// settings are Options that were checked.
type settings struct {
	Options
	target   target // of Redis; empty with Embedded
	commands commandSet
}

// Check returns every mistake, one a line.
func (o Options) Check() error {
	_, err := o.settle()
	return err
}

// settle puts the defaults in, and checks.
func (o Options) settle() (settings, error) {
	o.Listen = orElse(o.Listen, DefaultListen)
	o.Timeout = orElse(o.Timeout, DefaultTimeout)
	o.Grace = orElse(o.Grace, DefaultGrace)
	o.MaxBody = orElse(o.MaxBody, DefaultMaxBody)
	o.MaxCommands = orElse(o.MaxCommands, DefaultMaxCommands)
	o.MaxRequests = orElse(o.MaxRequests, DefaultMaxRequests)
	o.Connections = orElse(o.Connections, DefaultConnections)
	if o.Log == nil {
		o.Log = io.Discard
	}

	s := settings{Options: o}
	var mistakes []error
	if err := o.checkAccess(); err != nil {
		mistakes = append(mistakes, err)
	}
	switch {
	case o.Embedded && o.Redis != "":
		mistakes = append(mistakes, errors.New("either a Redis URL or embedded, not both"))
	case !o.Embedded && o.Redis == "":
		mistakes = append(mistakes, errors.New("which Redis? Give its URL, or embedded"))
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
		{"connections", int64(o.Connections)},
	} {
		if limit.value < 0 {
			mistakes = append(mistakes, fmt.Errorf("%s: must not be negative", limit.name))
		}
	}
	return s, errors.Join(mistakes...)
}

// checkAccess lets nobody but this machine reach a bridge that asks for no token.
func (o Options) checkAccess() error {
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen: want HOST:PORT, got %q", o.Listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("listen: port must be a number up to 65535, got %q", port)
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("token: only printable ASCII without spaces can stand in a header")
	}
	if o.Token == "" && !o.Insecure && !loopback(host) {
		return fmt.Errorf("listen: %s is open to other machines, and there is no token: set one, or listen on 127.0.0.1, or say insecure", o.Listen)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
