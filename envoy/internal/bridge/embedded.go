package bridge

import (
	"crypto/rand"
	"net/url"

	"github.com/alicebob/miniredis/v2"
)

// embedded is a Redis inside this process, for demonstrations and tests. Its data ends with the process.
//
// It listens on a loopback port that the kernel chooses, with a random password that only this process knows. (A
// net.Pipe would need no port, but has no buffer: the end of a pipeline could not be written before its first reply is
// read.)
type embedded struct {
	redis  *miniredis.Miniredis
	target target
}

func startEmbedded() (*embedded, error) {
	e := &embedded{redis: miniredis.NewMiniRedis()}
	// Without it miniredis's keys expire only when a test moves its clock. TIME is this machine's clock either way.
	e.redis.ClockTTL(true)
	password := rand.Text()
	e.redis.RequireAuth(password)
	if err := e.redis.Start(); err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "redis", User: url.UserPassword("", password), Host: e.redis.Addr()}
	e.target = target{url: u, where: "inside this process (miniredis)"}
	return e, nil
}
