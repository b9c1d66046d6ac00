package redis

// Upstash speaks the REST API of Upstash, https://upstash.com/docs/redis/features/restapi, which the command `weir
// bridge` speaks too. A command is a JSON array of strings, a pipeline an array of commands:
//
//	POST /           ["EVALSHA","sha","4",…]    {"result":[17,1764000000000000,5,0,95,100,3,0]}
//	                                            {"error":"NOSCRIPT No matching script."}           status 400
//	POST /pipeline   [["EVALSHA",…],[…]]        [{"result":[…]},{"error":"…"}]
type Upstash struct {
	authorization string
	body          []byte
}

// NewUpstash is the dialect with a bearer token, or with none.
func NewUpstash(token string) *Upstash {
	u := &Upstash{}
	if token != "" {
		u.authorization = "Bearer " + token
	}
	return u
}

// Most is how many commands go into a pipeline: their answers stay far below MaxBody.
func (*Upstash) Most() int { return 64 }

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

// appendText appends a JSON string (RFC 8259, section 7). Bytes beyond ASCII are UTF-8 in all that the policy takes.
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

// Results reads one answer, or a pipeline's.
func (*Upstash) Results(results []Result, status int, body []byte, commands []Command) ([]Result, error) {
	if err := bodyError(status, body); err != nil {
		return results, err
	}
	if status != 200 && status != 400 {
		return results, &Error{Unavailable, "status " + itoa(status)}
	}
	j := reader{b: body}
	before := len(results)
	if len(commands) == 1 || j.peek() == '{' { // an error of the pipeline as a whole is not one of an array
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
		return results[:before], malformed("not an answer in Upstash's dialect")
	}
	first := results[before].Err
	if len(results)-before < len(commands) || (status == 400 && first == nil) {
		if first == nil {
			first = malformed("status 400 without an error")
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
