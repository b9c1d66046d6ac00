package bridge

import (
	"crypto/rand"
	"net/url"

	"github.com/alicebob/miniredis/v2"
)

// embedded is a Redis inside this process, for demonstrations and tests. What it holds is gone with the process.
//
// It listens on a port of the loopback interface that the kernel picks, behind a password that nobody else is told. (A
// net.Pipe would need no port, but has no buffer: a pipeline's end waits to be written until its first reply is read.)
type embedded struct {
	redis  *miniredis.Miniredis
	target target
}

func startEmbedded() (*embedded, error) {
	e := &embedded{redis: miniredis.NewMiniRedis()}
	// By itself miniredis's keys only expire when a test says so. TIME is this machine's clock either way.
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
