package redis

import "github.com/weir-mesh/weir/policy/ascii"

// Webdis is the dialect of Webdis (https://webd.is), as Debian packages it. A command is the path of a URL, here in the
// body of a POST, and the response has its name:
//
//	POST /            {"EVALSHA":[17,1764000000000000,5,0,95,100,3,0]}
//	EVALSHA/sha/4/…   {"EVALSHA":[false,"NOSCRIPT No matching script. Please use EVAL."]}
//	                  {"PING":[true,"PONG"]}
//
// Words are percent-encoded. Webdis strips an extension such as .json from the last one, even if its dot was encoded:
// the commands of this package end with a number. A request carries one command, since Webdis takes a whole body for
// one, and can't nest arrays (it writes [[1],[2]] as [null,null]). Without Redis its status is 503.
type Webdis struct {
	body []byte
}

// MaxCommands is 1.
func (*Webdis) MaxCommands() int { return 1 }

// Request is a POST with one command.
func (w *Webdis) Request(commands []Command) Request {
	w.body = w.body[:0]
	for i := range commands[0].Len() {
		if i > 0 {
			w.body = append(w.body, '/')
		}
		w.body = appendEscaped(w.body, commands[0].Word(i))
	}
	return Request{Method: "POST", Path: "/", ContentType: "application/x-www-form-urlencoded", Body: w.body}
}

// appendEscaped percent-encodes all but letters, digits, - and _.
func appendEscaped(b, word []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range word {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// Results reads the reply to one command.
func (*Webdis) Results(results []Result, status int, body []byte, commands []Command) ([]Result, error) {
	if err := bodyError(status, body); err != nil {
		return results, err
	}
	if status != 200 {
		return results, unavailable(status, body)
	}
	j := reader{b: body}
	j.want('{')
	name := j.text()
	j.want(':')
	r := j.result(true)
	j.want('}')
	j.end()
	if j.bad || !ascii.EqualFold(name, string(commands[0].Word(0))) {
		return results, malformed("the body is not a response of Webdis")
	}
	return append(results, r), nil
}
