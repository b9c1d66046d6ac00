package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// Refuser stands between a bridge and a redis-server. It passes commands on, but those that a test has it refuse: what
// a node of a Redis Cluster, or a Redis in trouble, says to a script.
type Refuser struct {
	server   *redistest.Server
	listener net.Listener

	mu      sync.Mutex
	says    string // "": it passes everything on
	about   string // only commands that have this in a word
	refused int
}

// NewRefuser stands before a server.
func NewRefuser(t testing.TB, server *redistest.Server) *Refuser {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Refuser{server: server, listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r
}

// Server is what NewBridge takes to lead a bridge to the refuser.
func (r *Refuser) Server() *redistest.Server {
	address := r.listener.Addr().(*net.TCPAddr)
	return &redistest.Server{Program: process.Program{Address: address.String()}, Port: address.Port}
}

// Refuse has it answer scripts about a key that contains about with this error, "" with none.
func (r *Refuser) Refuse(says, about string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.says, r.about, r.refused = says, about, 0
}

// Refused is the number of commands refused since Refuse.
func (r *Refuser) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// answer is the error for a command, "" where it is passed on.
func (r *Refuser) answer(words []string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.says == "" || !strings.HasPrefix(strings.ToUpper(words[0]), "EVAL") || !strings.Contains(strings.Join(words[1:], " "), r.about) {
		return ""
	}
	r.refused++
	return r.says
}

func (r *Refuser) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", r.server.Address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	asked, told := bufio.NewReader(client), bufio.NewReader(server)
	for {
		words, raw, err := command(asked)
		if err != nil {
			return
		}
		if says := r.answer(words); says != "" {
			if _, err := fmt.Fprintf(client, "-%s\r\n", says); err != nil {
				return
			}
			continue
		}
		if _, err := io.WriteString(server, raw); err != nil {
			return
		}
		answer, err := value(told)
		if err != nil {
			return
		}
		if _, err := io.WriteString(client, answer); err != nil {
			return
		}
	}
}

// command reads an array of bulk strings, https://redis.io/docs/latest/develop/reference/protocol-spec/
func command(r *bufio.Reader) (words []string, raw string, err error) {
	head, n, err := line(r)
	if err != nil || head[0] != '*' || n < 1 {
		return nil, "", fmt.Errorf("%q, %w", head, io.ErrUnexpectedEOF)
	}
	raw = head
	for range n {
		word, err := value(r)
		if err != nil {
			return nil, "", err
		}
		raw += word
		_, word, _ = strings.Cut(word, "\r\n")
		words = append(words, strings.TrimSuffix(word, "\r\n"))
	}
	return words, raw, nil
}

// value reads a value of any kind, as it stands.
func value(r *bufio.Reader) (raw string, err error) {
	raw, n, err := line(r)
	if err != nil || n < 0 {
		return raw, err
	}
	switch raw[0] {
	case '$':
		body := make([]byte, n+2)
		_, err = io.ReadFull(r, body)
		return raw + string(body), err
	case '*':
		for range n {
			element, err := value(r)
			if err != nil {
				return "", err
			}
			raw += element
		}
	}
	return raw, nil
}

// line reads a line; n is the number in it, 0 where it has none.
func line(r *bufio.Reader) (text string, n int, err error) {
	text, err = r.ReadString('\n')
	if err == nil && len(text) < 3 {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && (text[0] == '$' || text[0] == '*') {
		n, err = strconv.Atoi(strings.TrimSpace(text[1:]))
	}
	return text, n, err
}
