// Package redis is a limit that many proxies share through Redis.
package redis
