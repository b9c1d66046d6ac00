package redis

import (
	"bytes"
	"encoding/json"
)

// Upstash is the dialect of Upstash's REST API, https://upstash.com/docs/redis/features/restapi, and of the command `weir
// bridge`. A command is a JSON array of strings, a pipeline an array of commands:
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

// upstashReply is the reply to one command: a result or an error.
type upstashReply struct {
	Result *Result `json:"result"`
	Error  *string `json:"error"`
}

// Results reads the reply to one command, or those to a pipeline. If the pipeline as a whole fails, its reply is one error.
func (*Upstash) Results(results []Result, status int, body []byte, commands []Command) ([]Result, error) {
	if err := bodyError(status, body); err != nil {
		return results, err
	}
	if status != 200 && status != 400 {
		return results, unavailable(status)
	}
	replies, err := upstashReplies(body)
	if err != nil {
		return results, malformed("the body is not a response of Upstash")
	}
	before := len(results)
	for _, r := range replies {
		switch {
		case r.Error != nil:
			results = append(results, Result{Err: redisError(*r.Error)})
		case r.Result != nil:
			results = append(results, *r.Result)
		default:
			return results[:before], malformed("a reply has neither result nor error")
		}
	}
	switch {
	case len(replies) == 1 && replies[0].Error != nil && (status == 400 || len(commands) > 1):
		return results[:before], results[before].Err
	case status == 400:
		return results[:before], malformed("status 400, but no error")
	case len(replies) != len(commands):
		return results[:before], malformed("the number of replies is not that of the commands")
	}
	return results, nil
}

func upstashReplies(body []byte) (replies []upstashReply, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		return replies, json.Unmarshal(body, &replies)
	}
	replies = make([]upstashReply, 1)
	return replies, json.Unmarshal(body, &replies[0])
}
