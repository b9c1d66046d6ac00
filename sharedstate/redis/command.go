package redis

import "strconv"

// Command is one Redis command: its name and arguments. Its memory is used again by the next command.
type Command struct {
	buf  []byte
	ends []int
}

// Clear removes all words.
func (c *Command) Clear() { c.buf, c.ends = c.buf[:0], c.ends[:0] }

// Text adds an argument.
func (c *Command) Text(s string) {
	c.buf = append(c.buf, s...)
	c.ends = append(c.ends, len(c.buf))
}

// Join adds an argument that consists of some texts.
func (c *Command) Join(texts ...string) {
	for _, s := range texts {
		c.buf = append(c.buf, s...)
	}
	c.ends = append(c.ends, len(c.buf))
}

// Int adds a number as an argument.
func (c *Command) Int(n int64) {
	c.buf = strconv.AppendInt(c.buf, n, 10)
	c.ends = append(c.ends, len(c.buf))
}

// Len is the number of words, the name included.
func (c *Command) Len() int { return len(c.ends) }

// Word is the i-th word, valid until the command is changed.
func (c *Command) Word(i int) []byte {
	start := 0
	if i > 0 {
		start = c.ends[i-1]
	}
	return c.buf[start:c.ends[i]]
}

// Ping makes it a PING, whose result is the status PONG.
func (c *Command) Ping() {
	c.Clear()
	c.Text("PING")
}

// script begins a call of s: by its digest, or by its source for a Redis that does not know it yet.
func (c *Command) script(s *Script, source bool) {
	c.Clear()
	if source {
		c.Text("EVAL")
		c.Text(s.Source())
		return
	}
	c.Text("EVALSHA")
	c.Text(s.sha)
}
