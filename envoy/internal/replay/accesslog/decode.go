package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Line is what one line says about a request. A field that it does not have is empty or 0.
type Line struct {
	Number int       // of the line, from 1
	Start  time.Time // to the millisecond, mostly
	// Duration is until the end of the response. First is until the headers of upstream's response, -1 where it is not known.
	Duration, First time.Duration

	Status  int // 0: no response was sent
	GRPC    int // gRPC status, -1: none
	Flags   []byte
	Details []byte

	Cluster, Method, Path, Authority, Route []byte

	Source  []byte   // the client's address, with a port or without
	Headers [][]byte // of the request, as Options.Headers; nil: the line does not have it
}

func (l *Line) decode(values [][]byte) (err error) {
	missing := func(f field) error {
		return fmt.Errorf("no %s; --field %s=KEY names the key that has it", f.name(), f.name())
	}
	switch {
	case values[startTime] == nil:
		return missing(startTime)
	case values[duration] == nil:
		return missing(duration)
	case values[responseCode] == nil:
		return missing(responseCode)
	}
	if l.Start, err = when(values[startTime]); err != nil {
		return err
	}
	if year := l.Start.Year(); year < firstYear || year > lastYear {
		return fmt.Errorf("start_time is %q, %w, from %d to %d", values[startTime], errTime, firstYear, lastYear)
	}
	if l.Duration, err = milliseconds(duration, values[duration]); err != nil {
		return err
	}
	l.First = -1
	if v := values[serviceTime]; v != nil {
		if l.First, err = milliseconds(serviceTime, v); err != nil {
			return err
		}
		l.First = min(l.First, l.Duration)
	}
	if l.Status, err = whole(responseCode, values[responseCode], 999); err != nil {
		return err
	}
	if l.GRPC, err = grpcCode(values[grpcStatus]); err != nil {
		return err
	}
	l.Flags, l.Details = values[responseFlags], values[responseCodeDetails]
	l.Cluster, l.Method, l.Path = values[cluster], values[method], values[path]
	l.Authority, l.Route = values[authority], values[routeName]
	l.Source = values[remoteAddress]
	if l.Source == nil { // Envoy with use_remote_address adds the client's address at the end
		l.Source = bytes.TrimSpace(values[forwardedFor][bytes.LastIndexByte(values[forwardedFor], ',')+1:])
	}
	copy(l.Headers, values[fields:])
	return nil
}

// longestDuration bounds what a request may take: while one is in flight, the replay makes each tick of the filter, one a second.
const longestDuration = 31 * 24 * time.Hour

func milliseconds(f field, text []byte) (time.Duration, error) {
	n, err := whole(f, text, int(longestDuration/time.Millisecond))
	return time.Duration(n) * time.Millisecond, err
}

func whole(f field, text []byte, most int) (n int, err error) {
	bad := func() error { return fmt.Errorf("%s is %q, want a whole number up to %d", f.name(), text, most) }
	for i, c := range text {
		if c == '.' && i > 0 { // a number of JSON that a collector has made a float
			if rest := text[i+1:]; len(bytes.Trim(rest, "0123456789")) > 0 ||
				len(bytes.Trim(rest, "0")) > 0 && f != duration && f != serviceTime {
				return 0, bad()
			}
			break
		}
		if c < '0' || c > '9' || n > most {
			return 0, bad()
		}
		n = 10*n + int(c-'0')
	}
	if n > most || len(text) == 0 {
		return 0, bad()
	}
	return n, nil
}

// grpcNames are the names of gRPC's statuses as %GRPC_STATUS% writes them, by number.
var grpcNames = [...]string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
	"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
	"Unauthenticated",
}

func grpcCode(text []byte) (int, error) {
	if len(text) == 0 {
		return -1, nil
	}
	if text[0] >= 'A' { // also INVALID_ARGUMENT and CANCELLED, by %GRPC_STATUS(SNAKE_STRING)%
		word := strings.ReplaceAll(strings.ToLower(string(text)), "_", "")
		for code, name := range grpcNames {
			if word == strings.ToLower(name) || code == 1 && word == "cancelled" {
				return code, nil
			}
		}
	}
	return whole(grpcStatus, text, 999)
}

// The years of a start. The replay counts nanoseconds since 1970 in 64 bits, as the filter's clock does.
const firstYear, lastYear = 1970, 2200

var errTime = errors.New("want a time such as 2026-11-28T10:00:00.123Z, or seconds since 1970")

// when reads a time. What %START_TIME% writes is read without an allocation: time.Parse needs 100 ns more.
func when(text []byte) (time.Time, error) {
	const form = "2006-01-02T15:04:05"
	if len(text) > len(form) && text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':' && text[16] == ':' && text[len(text)-1] == 'Z' {
		year, month, day := digits(text[:4]), digits(text[5:7]), digits(text[8:10])
		hour, minute, second := digits(text[11:13]), digits(text[14:16]), digits(text[17:19])
		nano, ok := fraction(text[19 : len(text)-1])
		if ok && year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 60 {
			return time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC), nil
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
		return t, nil
	}
	return sinceEpoch(text)
}

// sinceEpoch reads 1764324000.123, seconds as %START_TIME(%s.%3f)% writes them, and whole milliseconds.
func sinceEpoch(text []byte) (time.Time, error) {
	seconds, rest, _ := bytes.Cut(text, []byte("."))
	n := digits(seconds)
	nano, ok := fraction(text[len(seconds):])
	switch {
	case n < 0 || !ok:
		return time.Time{}, fmt.Errorf("start_time is %q, %w", text, errTime)
	case len(rest) == 0 && n > 1e11:
		return time.UnixMilli(int64(n)).UTC(), nil
	}
	return time.Unix(int64(n), int64(nano)).UTC(), nil
}

// digits is the number that they write, -1 if they are none.
func digits(text []byte) (n int) {
	if len(text) == 0 || len(text) > 15 {
		return -1
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// fraction reads .123 as nanoseconds; "" is 0.
func fraction(text []byte) (nano int, ok bool) {
	if len(text) == 0 {
		return 0, true
	}
	if text[0] != '.' || len(text) > 10 || len(text) == 1 {
		return 0, false
	}
	n := digits(text[1:])
	for range 10 - len(text) {
		n *= 10
	}
	return n, n >= 0
}
