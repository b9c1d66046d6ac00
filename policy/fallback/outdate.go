package fallback

// Outdates reports whether a response that is not stored takes the place of a stored one: it is what the resource is now, so
// the older one must not be served any more (RFC 9111, section 4: the most recent response is the one to use).
//
//	2xx, 3xx, 4xx                                       the stored response is removed
//	206, 226, 304                                       stays: they are a part of it, or say that it is current
//	406 … 431 that judge the request, 408, 425, 429     stays: they say nothing about the resource
//	5xx, resets, timeouts                               stays: they are what the fallback is for
func Outdates(status int) bool {
	switch status {
	case 206, 226, 304,
		406, 407, 408, 411, 412, 413, 415, 416, 417, 421, 425, 426, 428, 429, 431:
		return false
	}
	return status >= 200 && status < 500
}
