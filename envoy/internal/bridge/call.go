package bridge

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// once is a command that go-redis is not to send again on its own. Connection lost, no reply: it may have run. A second
// lease would be tokens nobody uses, and a second give-back tokens too many.
type once struct{ *redis.Cmd }

// NoRetry is asked by go-redis before each further try.
func (once) NoRetry() bool { return true }

func newCall(ctx context.Context, arguments []any) once {
	return once{redis.NewCmd(ctx, arguments...)}
}

// attempts bounds how often READONLY is tried: once for the connection that had it, which go-redis then closes, and twice
// for others of the same pool.
const attempts = 3

// run sends one command and waits for its reply. The error is nil where Redis answered, be it with an error.
func run(ctx context.Context, client redis.UniversalClient, arguments []any) (reply any, err error) {
	for attempt := 1; ; attempt++ {
		call := newCall(ctx, arguments)
		_ = client.Process(ctx, call) // it stands in the call too
		reply, err := answer(call)
		if attempt == attempts || !readOnly(reply) {
			return reply, err
		}
	}
}

// runAll sends commands together. Each has a reply of its own; the error is that of the first which has none. Then what
// the others came to is of no use to a caller that cannot tell which of them ran.
func runAll(ctx context.Context, client redis.UniversalClient, commands [][]any) ([]any, error) {
	pipeline := client.Pipeline()
	calls := make([]once, len(commands))
	for i, arguments := range commands {
		calls[i] = newCall(ctx, arguments)
		_ = pipeline.Process(ctx, calls[i]) // queues it
	}
	_, _ = pipeline.Exec(ctx) // the first error, which stands in its call too
	replies := make([]any, len(calls))
	for i, call := range calls {
		reply, err := answer(call)
		if err == nil && readOnly(reply) {
			reply, err = run(ctx, client, commands[i])
		}
		if err != nil {
			return nil, err
		}
		replies[i] = reply
	}
	return replies, nil
}

// answer is what Redis replied, with Redis's own errors as values of type redis.Error.
func answer(call once) (any, error) {
	reply, err := call.Result()
	var refused redis.Error
	switch {
	case err == nil:
		return reply, nil
	case errors.Is(err, redis.Nil):
		return nil, nil
	case redis.IsAuthError(err): // what the bridge logs in with is no caller's mistake
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

// timedOut says that Redis was reached, as far as is known, and did not answer in time.
func timedOut(err error) bool {
	var timeout net.Error
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
