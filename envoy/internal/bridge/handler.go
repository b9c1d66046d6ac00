package bridge

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ServeHTTP answers one request. See the package's comment for the forms.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requested(r.Context())
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
		closeAfter(w)
		b.refuse(w, http.StatusNotFound, "ERR no such path: POST / or /pipeline, GET /health or /metrics")
	}
}

// closeAfter closes the connection after this answer: a caller that has not shown the token does not hold one for hours.
func closeAfter(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// method refuses a request by another method. HEAD passes for GET: net/http drops the body.
func (b *Bridge) method(w http.ResponseWriter, r *http.Request, want string) bool {
	if r.Method == want || r.Method == http.MethodHead && want == http.MethodGet {
		return true
	}
	closeAfter(w)
	w.Header().Set("Allow", want)
	b.refuse(w, http.StatusMethodNotAllowed, "ERR use "+want)
	return false
}

// authorized refuses a request without the token. A bridge without a token refuses what a browser sends on behalf of a
// web page: any page can reach this machine's loopback addresses.
func (b *Bridge) authorized(w http.ResponseWriter, r *http.Request) bool {
	if b.settings.Token == "" {
		if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
			return true
		}
		closeAfter(w)
		b.refuse(w, http.StatusForbidden, "ERR not for web pages, since the bridge has no token: start it with --token")
		return false
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// The digests are compared, since the time of ConstantTimeCompare shows whether the lengths differ.
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(b.settings.Token))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return true
	}
	closeAfter(w)
	w.Header().Set("WWW-Authenticate", "Bearer")
	b.refuse(w, http.StatusUnauthorized, "WRONGPASS invalid or missing auth token")
	return false
}

// serveCommands runs one command, or those of a pipeline.
func (b *Bridge) serveCommands(w http.ResponseWriter, r *http.Request) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	default:
		b.refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("ERR overloaded: %d requests are in flight, retry later", cap(b.slots)))
		return
	}
	encoder := encoder{base64: r.Header.Get("Upstash-Encoding") == "base64"}
	status, answer := http.StatusOK, any(nil)
	body, err := b.readBody(w, r)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), b.settings.Timeout)
		defer cancel()
		if r.URL.Path == "/" {
			status, answer, err = b.command(ctx, encoder, body)
		} else {
			answer, err = b.pipeline(ctx, encoder, body)
		}
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
	b.availability.note(time.Now(), nil)
	if encoder.base64 {
		w.Header().Set("Upstash-Encoding", "base64")
	}
	b.send(w, status, answer)
}

// readBody reads a request's body, up to MaxBody. The error is a refusal.
func (b *Bridge) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, b.settings.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		err = &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("ERR the body is larger than %d bytes", tooLarge.Limit)}
	case err != nil:
		err = &refusal{http.StatusBadRequest, "ERR the body did not arrive in full"}
	}
	return body, err
}

func (b *Bridge) command(ctx context.Context, e encoder, body []byte) (status int, answer any, err error) {
	arguments, err := decodeCommand(body)
	if err == nil {
		err = b.permit(arguments)
	}
	if err != nil {
		return 0, nil, refusalOf(err)
	}
	b.counts.commands.Add(1)
	reply, err := run(ctx, b.client, arguments, maxAttempts(b.client))
	if err != nil {
		return 0, nil, err
	}
	status = http.StatusOK
	if _, refused := reply.(redis.Error); refused {
		status = http.StatusBadRequest
	}
	return status, e.outcome(reply), nil
}

func (b *Bridge) pipeline(ctx context.Context, e encoder, body []byte) (answer any, err error) {
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
	for i, reply := range replies {
		replies[i] = e.outcome(reply)
	}
	return replies, nil
}

// permit refuses a command that is not in the list of allowed ones.
func (b *Bridge) permit(arguments []any) error {
	if b.settings.commands.allows(arguments) {
		return nil
	}
	name, _ := arguments[0].(string)
	return &refusal{http.StatusForbidden, fmt.Sprintf("NOPERM the bridge allows %s, not '%.40s'; --allow adds commands", b.settings.commands, name)}
}

// refusal is an answer of the bridge itself: nothing was sent to Redis.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// refusalOf turns an error of the decoder into an answer.
func refusalOf(err error) error {
	var refused *refusal
	if errors.As(err, &refused) {
		return err
	}
	return &refusal{http.StatusBadRequest, "ERR " + err.Error()}
}

// unanswered tells the caller that Redis sent no reply. The command may have run.
func (b *Bridge) unanswered(w http.ResponseWriter, r *http.Request, err error) {
	var refused redis.Error
	switch {
	case r.Context().Err() != nil:
		// The caller has left, which says nothing about Redis.
		b.refuse(w, http.StatusServiceUnavailable, "ERR the caller has left")
	case errors.Is(err, redis.ErrPoolTimeout):
		b.availability.note(time.Now(), err)
		b.refuse(w, http.StatusServiceUnavailable, "ERR no connection to Redis was free in time")
	case timedOut(err):
		b.availability.note(time.Now(), err)
		b.refuse(w, http.StatusGatewayTimeout, fmt.Sprintf("ERR no reply from Redis within %v", b.settings.Timeout))
	case errors.As(err, &refused):
		b.availability.note(time.Now(), err)
		b.refuse(w, http.StatusServiceUnavailable, "ERR Redis refuses the bridge's connection: "+refused.Error()) // it repeats no password
	default:
		b.availability.note(time.Now(), err)
		b.refuse(w, http.StatusServiceUnavailable, "ERR Redis cannot be used")
	}
}

func (b *Bridge) refuse(w http.ResponseWriter, status int, text string) {
	b.send(w, status, failure{text})
}

// contentType is shared by all answers, which only read it.
var contentType = []string{"application/json"}

func (b *Bridge) send(w http.ResponseWriter, status int, answer any) {
	b.counts.answered(status)
	w.Header()["Content-Type"] = contentType
	w.WriteHeader(status)
	_, _ = w.Write(marshal(answer)) // an error says that the caller has left
}
