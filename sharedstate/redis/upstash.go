package redis

import (
	"bytes"
	"encoding/json"
)

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

// MaxCommands is how many commands go into a pipeline: their answers stay far below MaxBody.
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

// upstashAnswer is the answer to one command. It has one of the two.
type upstashAnswer struct {
	Result *Result `json:"result"`
	Error  *string `json:"error"`
}

// Results reads the answer to one command, or to a pipeline. Where the pipeline as a whole fails, its answer is one error.
func (*Upstash) Results(results []Result, status int, body []byte, commands []Command) ([]Result, error) {
	if err := bodyError(status, body); err != nil {
		return results, err
	}
	if status != 200 && status != 400 {
		return results, unavailable(status)
	}
	answers, err := upstashAnswers(body)
	if err != nil {
		return results, malformed("not an answer in Upstash's dialect")
	}
	before := len(results)
	for _, a := range answers {
		switch {
		case a.Error != nil:
			results = append(results, Result{Err: redisError(*a.Error)})
		case a.Result != nil:
			results = append(results, *a.Result)
		default:
			return results[:before], malformed("an answer without result and error")
		}
	}
	switch {
	case len(answers) == 1 && answers[0].Error != nil && (status == 400 || len(commands) > 1):
		return results[:before], results[before].Err
	case status == 400:
		return results[:before], malformed("status 400 without an error")
	case len(answers) != len(commands):
		return results[:before], malformed("another number of answers than of commands")
	}
	return results, nil
}

func upstashAnswers(body []byte) (answers []upstashAnswer, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		return answers, json.Unmarshal(body, &answers)
	}
	answers = make([]upstashAnswer, 1)
	return answers, json.Unmarshal(body, &answers[0])
}
