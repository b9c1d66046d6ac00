package bridge

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/redis/go-redis/v9"
)

// once is a command that go-redis must not send a second time. A command whose connection was lost before the reply may
// have run: a second lease would waste its tokens, and a second return of tokens would admit too many requests.
type once struct{ *redis.Cmd }

// NoRetry is called by go-redis before it would retry.
func (once) NoRetry() bool { return true }

func newCall(ctx context.Context, arguments []any) once {
	return once{redis.NewCmd(ctx, arguments...)}
}

// maxAttempts bounds the attempts of a command that Redis refuses with READONLY: one on the connection that got it,
// which go-redis then closes, and two on others of the same pool. A client of a cluster follows READONLY, MOVED and ASK
// itself, up to three times: its commands have one attempt here.
func maxAttempts(client redis.UniversalClient) int {
	if _, cluster := client.(*redis.ClusterClient); cluster {
		return 1
	}
	return 3
}

// run sends one command and waits for its reply, with at most that many attempts. An error that Redis answered with is a
// reply; err says that Redis sent none.
func run(ctx context.Context, client redis.UniversalClient, arguments []any, attempts int) (reply any, err error) {
	for attempt := 1; ; attempt++ {
		call := newCall(ctx, arguments)
		_ = client.Process(ctx, call) // the call holds the error too
		reply, err := answer(call)
		if attempt >= attempts || !readOnly(reply) {
			return reply, err
		}
	}
}

// runAll sends commands together and returns a reply for each. The error is that of the first command without a reply;
// the replies of the others are dropped, since the caller could not tell which of the commands ran.
func runAll(ctx context.Context, client redis.UniversalClient, commands [][]any) ([]any, error) {
	pipeline := client.Pipeline()
	calls := make([]once, len(commands))
	for i, arguments := range commands {
		calls[i] = newCall(ctx, arguments)
		_ = pipeline.Process(ctx, calls[i]) // queues it
	}
	_, err := pipeline.Exec(ctx) // the first error, which its call holds too
	if err != nil && !slices.ContainsFunc(calls, func(c once) bool { return c.Err() != nil }) {
		return nil, err // but that of a connection that Redis refused, which no call holds: they would all be null
	}
	replies := make([]any, len(calls))
	for i, call := range calls {
		reply, err := answer(call)
		if err == nil && readOnly(reply) {
			reply, err = run(ctx, client, commands[i], max(maxAttempts(client)-1, 1)) // the pipeline was the first one
		}
		if err != nil {
			return nil, err
		}
		replies[i] = reply
	}
	return replies, nil
}

// answer is Redis's reply. An error of Redis is a reply of type redis.Error.
func answer(call once) (any, error) {
	reply, err := call.Result()
	var refused redis.Error
	switch {
	case err == nil:
		return reply, nil
	case errors.Is(err, redis.Nil):
		return nil, nil
	case redis.IsAuthError(err): // the bridge's own login failed, not the caller's command
		return nil, err
	case errors.As(err, &refused):
		return refused, nil
	default:
		return nil, err
	}
}

func readOnly(reply any) bool {
	refused, ok := reply.(redis.Error)
	return ok && redis.IsReadOnlyError(refused)
}

// timedOut says that Redis did not answer in time. A connection that could not be made is another failure.
func timedOut(err error) bool {
	var timeout net.Error
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
