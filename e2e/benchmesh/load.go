package benchmesh

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// connections are as many as package bench has. At 5,000 requests a second each sends one every 12.8 ms; h2load's timer
// for one connection is no finer than 10 ms.
const connections = 64

// answer is one request, as h2load logs it: when it was sent, what came, and how long that took.
type answer struct {
	start   int64 // us since 1970
	status  int   // -1: nothing came
	latency time.Duration
}

type answers []answer

// load sends requests at a rate for some seconds. A request waits for its connection's last answer, so a stall of more
// than a connection's pause delays requests that are then not counted from when they were due ("coordinated omission");
// the column requests/s shows it.
//
// h2load lets each connection send at an even pace, all from the moment they are made. So they are made rate/1000 each
// millisecond, which spreads their moments evenly: 64 over 12.8 ms at 5,000 a second.
func load(t testing.TB, url string, rate, seconds int) answers {
	t.Helper()
	log := filepath.Join(t.TempDir(), "h2load.log")
	out, err := exec.CommandContext(t.Context(), "h2load", "--h1", "--threads=1", fmt.Sprintf("--clients=%d", connections),
		fmt.Sprintf("--rate=%d", max(1, rate/1000)), "--rate-period=1ms", fmt.Sprintf("--rps=%g", float64(rate)/connections),
		fmt.Sprintf("--requests=%d", rate*seconds), "--log-file="+log, url).CombinedOutput()
	if err != nil {
		t.Fatalf("h2load: %v: %s", err, out)
	}
	text, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	all, err := parseLog(text)
	if err = errors.Join(err, text.Close()); err != nil {
		t.Fatalf("h2load's log: %v", err)
	}
	if len(all) != rate*seconds {
		t.Fatalf("h2load: %d requests in its log, want %d: %s", len(all), rate*seconds, out)
	}
	return all
}

// parseLog reads lines of start in us since 1970, status and us until the answer's end, and sorts them by start.
// https://nghttp2.org/documentation/h2load.1.html
func parseLog(r io.Reader) (answers, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var all answers
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("want 3 columns, got %q", line)
		}
		var numbers [3]int64
		for i := range numbers {
			if numbers[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		all = append(all, answer{numbers[0], int(numbers[1]), time.Duration(numbers[2]) * time.Microsecond})
	}
	slices.SortFunc(all, func(a, b answer) int { return int(a.start - b.start) })
	return all, nil
}

// since drops what was sent earlier than d after the first.
func (a answers) since(d time.Duration) answers {
	i, _ := slices.BinarySearchFunc(a, a[0].start+d.Microseconds(), func(one answer, from int64) int { return int(one.start - from) })
	return a[i:]
}

// percentile is the latency that p of 100 do not exceed.
func (a answers) percentile(p int) time.Duration {
	latencies := make([]time.Duration, len(a))
	for i, one := range a {
		latencies[i] = one.latency
	}
	slices.Sort(latencies)
	return latencies[max(0, (len(latencies)*p+99)/100-1)] // nearest rank
}

// rate is how many were really sent a second.
func (a answers) rate() float64 {
	return float64(len(a)-1) / (float64(a[len(a)-1].start-a[0].start) / 1e6)
}

// counts are the answers that were admitted and refused, and an error for any other.
func (a answers) counts() (admitted, refused int, err error) {
	for _, one := range a {
		switch one.status {
		case http.StatusOK:
			admitted++
		case http.StatusTooManyRequests:
			refused++
		default:
			return 0, 0, fmt.Errorf("got status %d after %v, want 200 or 429", one.status, one.latency)
		}
	}
	return admitted, refused, nil
}
