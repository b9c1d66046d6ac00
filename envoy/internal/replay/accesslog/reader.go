// Package accesslog reads Envoy's access logs: JSON with the usual names, and text by its format string.
//
//	bytes ──► gzip? ──► line ──► {…} json.go   ─► values, by field ──► Line (decode.go)
//	                             else text.go     fields.go
//
// A million lines are read without an allocation for each: what a Line has is valid until the next one is read.
package accesslog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// Options of a Reader.
type Options struct {
	Fields  map[string]string // keys of JSON by the name of a field (see Names), or by header:NAME
	Headers []string          // of requests that are wanted, in lower case
	Format  string            // of text, as in Envoy's log_format.text_format; "": Envoy's or Istio's default
}

// LineError is a line that can't be read.
type LineError struct {
	Line   int // from 1
	Reason string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Reader reads an access log.
type Reader struct {
	in      *bufio.Reader
	names   names
	formats []format // of text that a line may have; the first that matches is the log's
	chosen  bool
	number  int
	long    []byte // a line that is longer than the buffer of in
	scratch []byte // text without escapes
	values  [][]byte
	ranks   []uint8
	line    Line
}

const (
	bufferSize = 64 << 10
	longest    = 1 << 20 // a line that is longer is none of a request
)

// NewReader reads a log, which may be compressed by gzip.
func NewReader(in io.Reader, o Options) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, bufferSize)}
	if magic, _ := r.in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(r.in)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errTruncated
		}
		if err != nil {
			return nil, err
		}
		r.in = bufio.NewReaderSize(unzipped, bufferSize)
	}
	var err error
	if r.names, err = newNames(o); err != nil {
		return nil, err
	}
	texts := []string{Istio, Default}
	if o.Format != "" {
		texts, r.chosen = []string{o.Format}, true
	}
	for _, text := range texts {
		f, err := compile(text, o.Headers)
		if err != nil {
			return nil, err
		}
		r.formats = append(r.formats, f)
	}
	r.values = make([][]byte, int(fields)+len(o.Headers))
	r.ranks = make([]uint8, len(r.values))
	r.line.Headers = make([][]byte, len(o.Headers))
	return r, nil
}

// Next reads the next line that is not empty. Its error is io.EOF at the end, a *LineError for a line that can't be read, after
// which the next one can, and any other if the log itself can't be read.
func (r *Reader) Next() (*Line, error) {
	for {
		text, err := r.read()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errTruncated
		}
		if err != nil {
			return nil, err
		}
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		if err := r.parse(text); err != nil {
			return nil, &LineError{r.number, err.Error()}
		}
		r.line.Number = r.number
		if err := r.line.decode(r.values); err != nil {
			return nil, &LineError{r.number, err.Error()}
		}
		return &r.line, nil
	}
}

var (
	errLong      = errors.New("longer than a MiB")
	errTruncated = errors.New("the gzip data end early: the file is not complete; `zcat FILE | weir replay -f POLICY -` replays what there is")
)

// read reads one line without its end.
func (r *Reader) read() (line []byte, err error) {
	r.number++
	line, err = r.in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return atEnd(line, err)
	}
	r.long = append(r.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.in.ReadSlice('\n')
		if len(r.long) <= longest {
			r.long = append(r.long, line...)
		}
	}
	if len(r.long) > longest {
		return nil, &LineError{r.number, errLong.Error()}
	}
	return atEnd(r.long, err)
}

// atEnd takes a last line without a line feed for one.
func atEnd(line []byte, err error) ([]byte, error) {
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return line, nil
	}
	return line, err
}

// parse finds the values of a line.
func (r *Reader) parse(text []byte) (err error) {
	clear(r.values)
	if text[0] == '{' {
		clear(r.ranks)
		r.scratch, err = object(text, &r.names, r.values, r.ranks, r.scratch[:0])
		return err
	}
	for i := range r.formats {
		if err = r.formats[i].parse(text, r.values); err == nil {
			if !r.chosen { // the other one is not tried for each line
				r.formats, r.chosen = r.formats[i:i+1], true
			}
			return nil
		}
		clear(r.values)
	}
	if r.chosen {
		return err
	}
	return errors.New("neither JSON nor text in Envoy's or Istio's default format; --format takes that of your log")
}
