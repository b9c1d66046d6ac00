package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ServeHTTP answers one request. See the package's comment for the forms.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/", "/pipeline":
		if b.method(w, r, http.MethodPost) && b.authorized(w, r) {
			b.serveCommands(w, r)
		}
	case "/health":
		if b.method(w, r, http.MethodGet) {
			b.serveHealth(w)
		}
	case "/metrics":
		if b.method(w, r, http.MethodGet) && b.authorized(w, r) {
			b.serveMetrics(w)
		}
	default:
		b.refuse(w, http.StatusNotFound, "ERR no such path: POST / or /pipeline, GET /health or /metrics")
	}
}

// method refuses a request by another method. HEAD passes for GET: net/http drops the body.
func (b *Bridge) method(w http.ResponseWriter, r *http.Request, want string) bool {
	if r.Method == want || r.Method == http.MethodHead && want == http.MethodGet {
		return true
	}
	w.Header().Set("Allow", want)
	b.refuse(w, http.StatusMethodNotAllowed, "ERR use "+want)
	return false
}

// authorized refuses a request without the token. Where none is asked for, it refuses what a browser sends on behalf of a
// web page: the page may be anybody's, and reaches this machine's loopback addresses.
func (b *Bridge) authorized(w http.ResponseWriter, r *http.Request) bool {
	if b.settings.Token == "" {
		if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
			return true
		}
		b.refuse(w, http.StatusForbidden, "ERR not for web pages: the bridge has no token")
		return false
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Of the digests, since ConstantTimeCompare would tell the lengths apart.
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(b.settings.Token))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return true
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	b.refuse(w, http.StatusUnauthorized, "WRONGPASS invalid or missing auth token")
	return false
}

// buffers hold a request's body, and then its answer.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBuffer is the largest that goes back into the pool, so that one large request is not remembered for ever.
const keptBuffer = 64 << 10

// serveCommands runs one command, or those of a pipeline.
func (b *Bridge) serveCommands(w http.ResponseWriter, r *http.Request) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	default:
		b.refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("ERR overloaded: %d requests are under way", cap(b.slots)))
		return
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= keptBuffer {
			buffers.Put(buffer)
		}
	}()
	buffer.Reset()
	_, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, b.settings.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		b.refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("ERR the body is larger than %d bytes", tooLarge.Limit))
		return
	case err != nil:
		b.refuse(w, http.StatusBadRequest, "ERR the body did not arrive")
		return
	}

	body := buffer.String() // a copy, which the arguments are parts of
	encoder := encoder{base64: r.Header.Get("Upstash-Encoding") == "base64"}
	ctx, cancel := context.WithTimeout(r.Context(), b.settings.Timeout)
	defer cancel()
	buffer.Reset()
	status, out := http.StatusOK, buffer.AvailableBuffer()
	if r.URL.Path == "/" {
		status, out, err = b.command(ctx, out, encoder, body)
	} else {
		out, err = b.pipeline(ctx, out, encoder, body)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		b.refuse(w, refused.status, refused.text)
		return
	}
	if err != nil {
		b.unanswered(w, r, err)
		return
	}
	b.note(nil)
	if encoder.base64 {
		w.Header().Set("Upstash-Encoding", "base64")
	}
	b.send(w, status, out)
}

func (b *Bridge) command(ctx context.Context, out []byte, e encoder, body string) (int, []byte, error) {
	arguments, err := decodeCommand(body)
	if err == nil {
		err = b.permit(arguments)
	}
	if err != nil {
		return 0, nil, refusalOf(err)
	}
	b.counts.commands.Add(1)
	reply, err := run(ctx, b.client, arguments)
	if err != nil {
		return 0, nil, err
	}
	status := http.StatusOK
	if _, refused := reply.(redis.Error); refused {
		status = http.StatusBadRequest
	}
	return status, e.appendOutcome(out, reply), nil
}

func (b *Bridge) pipeline(ctx context.Context, out []byte, e encoder, body string) ([]byte, error) {
	commands, err := decodePipeline(body, b.settings.MaxCommands)
	for i := 0; err == nil && i < len(commands); i++ {
		err = b.permit(commands[i])
	}
	if errors.Is(err, errTooMany) {
		err = &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("ERR more than %d commands in a pipeline", b.settings.MaxCommands)}
	}
	if err != nil {
		return nil, refusalOf(err)
	}
	b.counts.commands.Add(int64(len(commands)))
	replies, err := runAll(ctx, b.client, commands)
	if err != nil {
		return nil, err
	}
	out = append(out, '[')
	for i, reply := range replies {
		if i > 0 {
			out = append(out, ',')
		}
		out = e.appendOutcome(out, reply)
	}
	return append(out, ']'), nil
}

// permit refuses a command that is not let through.
func (b *Bridge) permit(arguments []any) error {
	if b.settings.commands.allows(arguments) {
		return nil
	}
	name, _ := arguments[0].(string)
	return &refusal{http.StatusForbidden, fmt.Sprintf("NOPERM the bridge lets through %s, and not '%.40s'", b.settings.commands, name)}
}

// refusal is an answer that Redis has no part in.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// refusalOf makes what the decoder complains of an answer.
func refusalOf(err error) error {
	var refused *refusal
	if errors.As(err, &refused) {
		return err
	}
	return &refusal{http.StatusBadRequest, "ERR " + err.Error()}
}

// unanswered tells the caller that there is no reply. The command may have run.
func (b *Bridge) unanswered(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case r.Context().Err() != nil:
		// The caller has left. What Redis is like was not seen.
		b.refuse(w, http.StatusServiceUnavailable, "ERR the caller has left")
	case errors.Is(err, redis.ErrPoolTimeout):
		b.note(err)
		b.refuse(w, http.StatusServiceUnavailable, "ERR no connection to Redis was free in time")
	case timedOut(err):
		b.note(err)
		b.refuse(w, http.StatusGatewayTimeout, fmt.Sprintf("ERR no reply from Redis within %v", b.settings.Timeout))
	default:
		b.note(err)
		b.refuse(w, http.StatusServiceUnavailable, "ERR Redis cannot be used")
	}
}

func (b *Bridge) refuse(w http.ResponseWriter, status int, text string) {
	b.send(w, status, append(appendQuoted([]byte(`{"error":`), text), '}'))
}

// contentType is shared by all answers, which only read it.
var contentType = []string{"application/json"}

func (b *Bridge) send(w http.ResponseWriter, status int, body []byte) {
	b.counts.answered(status)
	w.Header()["Content-Type"] = contentType
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not take it is gone
}
