package redis

// Upstash is the dialect of Upstash's REST API, https://upstash.com/docs/redis/features/restapi, and of the command
// `weir bridge`. A command is a JSON array of strings, a pipeline an array of commands:
//
//	POST /           ["EVALSHA","sha","4",…]    {"result":[17,1764000000000000,5,0,95,100,3,0]}
//	                                            {"error":"NOSCRIPT No matching script."}           status 400
//	POST /pipeline   [["EVALSHA",…],[…]]        [{"result":[…]},{"error":"…"}]
type Upstash struct {
	authorization string
	body          []byte
}

// NewUpstash is the dialect with a bearer token, or without one where token is empty.
func NewUpstash(token string) *Upstash {
	u := &Upstash{}
	if token != "" {
		u.authorization = "Bearer " + token
	}
	return u
}

// MaxCommands is 64: the replies stay far below MaxBody.
func (*Upstash) MaxCommands() int { return 64 }

// Request is a POST with one command, or with a pipeline.
func (u *Upstash) Request(commands []Command) Request {
	r := Request{Method: "POST", Path: "/", ContentType: "application/json", Authorization: u.authorization}
	u.body = u.body[:0]
	if len(commands) == 1 {
		u.body = appendWords(u.body, &commands[0])
	} else {
		r.Path = "/pipeline"
		u.body = append(u.body, '[')
		for i := range commands {
			if i > 0 {
				u.body = append(u.body, ',')
			}
			u.body = appendWords(u.body, &commands[i])
		}
		u.body = append(u.body, ']')
	}
	r.Body = u.body
	return r
}

func appendWords(b []byte, c *Command) []byte {
	b = append(b, '[')
	for i := range c.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, c.Word(i))
	}
	return append(b, ']')
}

// appendText appends a JSON string (RFC 8259, section 7). Bytes beyond ASCII are UTF-8: the policy takes no others.
func appendText(b, word []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range word {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Results reads the reply to one command, or those to a pipeline. If the pipeline as a whole fails, its reply is one
// error.
func (*Upstash) Results(results []Result, status int, body []byte, commands []Command) ([]Result, error) {
	if err := bodyError(status, body); err != nil {
		return results, err
	}
	if status != 200 && status != 400 {
		return results, unavailable(status, body)
	}
	j := reader{b: body}
	before := len(results)
	if len(commands) == 1 || j.peek() == '{' { // the pipeline as a whole failed
		results = append(results, j.outcome())
	} else {
		j.want('[')
		for i := range commands {
			if i > 0 {
				j.want(',')
			}
			results = append(results, j.outcome())
		}
		j.want(']')
	}
	j.end()
	if j.bad {
		return results[:before], malformed("the body is not a response of Upstash")
	}
	first := results[before].Err
	if len(results)-before < len(commands) || (status == 400 && first == nil) {
		if first == nil {
			first = malformed("status 400, but no error")
		}
		return results[:before], first
	}
	return results, nil
}

// outcome reads {"result":…} or {"error":"…"}.
func (j *reader) outcome() (r Result) {
	j.want('{')
	name := j.text()
	j.want(':')
	switch name {
	case "result":
		r = j.result(false)
	case "error":
		r.Err = redisError(j.text())
	default:
		j.bad = true
	}
	j.want('}')
	return r
}
