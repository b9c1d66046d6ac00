package replay

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/weir-mesh/weir/envoy/internal/replay/accesslog"
	"github.com/weir-mesh/weir/envoy/internal/replay/proxyhost"
)

// Log is the requests of an access log, by their start.
type Log struct {
	Lines          int // that are not empty
	Unreadable     int
	FirstMistakes  []accesslog.LineError // a few
	WithoutCluster int                   // lines that name none, and for which none was named
	RefusedByWeir  int                   // requests that a Weir had refused when the log was written
	HeadersSeen    []bool                // whether any line had the header, as Options.Log.Headers

	requests []request
	clusters texts
	sets     texts // headers of requests, packed
	answers  texts // headers of responses, packed
	details  texts
	sources  texts
	routes   texts
}

// request is one line: 56 bytes.
type request struct {
	start, first, end int64 // nanoseconds since 1970; first is when the response's headers came

	cluster, set, answer, details, source, route uint32
	line                                         uint32
	ending                                       ending
	byWeir                                       bool // a Weir had refused it
}

// ReadOptions say what a log's lines mean.
type ReadOptions struct {
	Log       accesslog.Options
	Paths     bool              // the policy reads paths
	Cluster   string            // of lines that name none
	ClusterOf map[string]string // the same by authority, which comes first
	Progress  func(line int)    // nil: none
}

const (
	mostMistakes   = 5
	progressEvery  = 1 << 12 // lines
	unknownRequest = "/"
)

// Read reads a whole log.
func Read(in io.Reader, o ReadOptions) (*Log, error) {
	reader, err := accesslog.NewReader(in, o.Log)
	if err != nil {
		return nil, err
	}
	l := &Log{HeadersSeen: make([]bool, len(o.Log.Headers))}
	timed := false // some response has x-envoy-upstream-service-time
	b := builder{options: &o}
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		l.Lines++
		if o.Progress != nil && l.Lines%progressEvery == 0 {
			o.Progress(l.Lines)
		}
		var mistake *accesslog.LineError
		switch {
		case errors.As(err, &mistake):
			l.Unreadable++
			if len(l.FirstMistakes) < mostMistakes {
				l.FirstMistakes = append(l.FirstMistakes, *mistake)
			}
			continue
		case err != nil:
			return nil, err
		}
		name := b.cluster(line)
		if len(name) == 0 {
			l.WithoutCluster++
			continue
		}
		timed = timed || line.First >= 0
		l.add(line, name, &b)
	}
	for i := range l.requests {
		l.requests[i].ending = l.requests[i].ending.decided(timed)
	}
	slices.SortFunc(l.requests, func(a, b request) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.line, b.line))
	})
	return l, nil
}

// add appends a line's request.
func (l *Log) add(line *accesslog.Line, cluster []byte, b *builder) {
	for i, value := range line.Headers {
		l.HeadersSeen[i] = l.HeadersSeen[i] || value != nil
	}
	start := line.Start.UnixNano()
	r := request{
		start: start, end: start + int64(line.Duration), line: uint32(line.Number), cluster: l.clusters.number(cluster),
		set: l.sets.number(b.request(line)), source: l.sources.number(b.source(line.Source)), route: l.routes.number(line.Route),
	}
	r.first = r.end
	if line.First >= 0 {
		r.first = start + int64(line.First)
	}
	details, ending := endingOf(line)
	r.ending, r.byWeir = ending, isWeirs(details)
	if r.byWeir {
		l.RefusedByWeir++
	}
	r.details = l.details.number(details)
	r.answer = l.answers.number(b.response(line))
	l.requests = append(l.requests, r)
}

// Requests is how many requests there are.
func (l *Log) Requests() int { return len(l.requests) }

// Span is when the first request began, and when the last one did.
func (l *Log) Span() (from, to time.Time) {
	if len(l.requests) == 0 {
		return from, to
	}
	return time.Unix(0, l.requests[0].start).UTC(), time.Unix(0, l.requests[len(l.requests)-1].start).UTC()
}

// texts numbers texts, so that each is kept once.
type texts struct {
	numbers map[string]uint32
	all     []string
}

func (t *texts) number(text []byte) uint32 {
	if n, ok := t.numbers[string(text)]; ok {
		return n
	}
	if t.numbers == nil {
		t.numbers = map[string]uint32{}
	}
	n := uint32(len(t.all))
	t.all = append(t.all, string(text))
	t.numbers[t.all[n]] = n
	return n
}

// builder makes what the filter sees of lines.
type builder struct {
	options *ReadOptions
	pairs   [][2]string
	b       []byte
}

func (b *builder) cluster(line *accesslog.Line) []byte {
	if len(line.Cluster) > 0 {
		return line.Cluster
	}
	if name, ok := b.options.ClusterOf[string(line.Authority)]; ok {
		return []byte(name)
	}
	return []byte(b.options.Cluster)
}

// request packs the headers of a request: those alone that a policy can depend on.
func (b *builder) request(line *accesslog.Line) []byte {
	path := unknownRequest
	if b.options.Paths && len(line.Path) > 0 {
		path = string(line.Path)
	}
	b.pairs = append(b.pairs[:0],
		[2]string{":method", string(line.Method)}, [2]string{":path", path}, [2]string{":authority", string(line.Authority)})
	for i, value := range line.Headers {
		if value != nil {
			b.pairs = append(b.pairs, [2]string{b.options.Log.Headers[i], string(value)})
		}
	}
	b.b = proxyhost.Pack(b.b[:0], b.pairs...)
	return b.b
}

// source is the client's address with a port, as Envoy has it: 192.0.2.1:0 and [2001:db8::1]:0 where the log has none.
func (b *builder) source(address []byte) []byte {
	colons := 0
	for _, c := range address {
		if c == ':' {
			colons++
		}
	}
	switch {
	case len(address) == 0 || colons == 1 || address[0] == '[':
		return address
	case colons == 0:
		return append(append(b.b[:0], address...), ":0"...)
	default:
		return append(append(append(b.b[:0], '['), address...), "]:0"...)
	}
}
