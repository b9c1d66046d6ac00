package lease

// Share is a proxy's fair share of a limit among live proxies, which it uses while Redis is down: the limit divided by
// their number, at least 1. With more proxies than the limit has requests, they may admit one each.
func Share(limit, live int64) int64 { return max(limit/max(live, 1), 1) }
